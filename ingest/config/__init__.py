"""Settings, and the objects that they configure."""

"""Configuration: settings, and the objects that are created from them."""

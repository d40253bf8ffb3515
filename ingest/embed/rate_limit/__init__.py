"""Rate limiting of embedding requests, per deployment."""

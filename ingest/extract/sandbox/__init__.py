"""Child processes that read untrusted documents within limits."""

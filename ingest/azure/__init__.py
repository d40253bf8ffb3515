"""Signing in: without a key wherever that is possible."""

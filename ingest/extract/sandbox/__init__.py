"""Sandbox: child processes that read untrusted documents within limits."""

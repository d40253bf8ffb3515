"""Keeps a search index in step with a set of PDFs."""

__version__ = "0.1.0"

"""Containers of Azure Blob Storage as roots."""

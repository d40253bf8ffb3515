"""Logs, traces and metrics, as those receive them who asked for them."""

"""`ingest rebuild`: fill a new index next to the live one, verify it, and switch over."""

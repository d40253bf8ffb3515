"""`ingest doctor`: diagnose settings, identity, roles, services and sources."""

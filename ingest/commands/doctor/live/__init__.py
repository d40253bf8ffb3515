"""Live probes of `ingest doctor --live`: measure undocumented behaviour of the services."""

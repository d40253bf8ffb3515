"""Live probes of `ingest doctor --live`: measure what the services' documents do not say."""

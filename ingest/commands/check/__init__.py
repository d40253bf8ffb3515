"""`ingest check`: compare an index with its records and its roots, and repair it."""

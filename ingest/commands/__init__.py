"""The work behind each command; `ingest.cli` parses the arguments and prints the results."""

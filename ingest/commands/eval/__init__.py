"""`ingest eval`: ask an index questions with known answers, and score the hits."""

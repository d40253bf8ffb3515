"""Facilities that any stage may use during a run: retries, cancellation, concurrency, timing."""

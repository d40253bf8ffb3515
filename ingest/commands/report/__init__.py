"""The report: one HTML page of an index, its runs and its sources."""

"""The inspector of a report: a source page by page, next to its chunks in the index."""

"""The inspector of a report: a source page by page, beside what the index holds of it."""

"""Where PDFs come from. One file per kind of root."""

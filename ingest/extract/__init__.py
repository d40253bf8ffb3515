"""Text extraction from PDFs, in sandboxed child processes."""

"""PDF engines: PDFium, and pypdf as the fallback."""

"""From a document's text to chunks. Pure."""

"""Reading one document: sandbox, recovery, attachments, scanned pages."""

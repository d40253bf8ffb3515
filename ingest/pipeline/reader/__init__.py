"""Read one document: attachments, scanned pages, recovery, sandbox. read.py shows the chain."""

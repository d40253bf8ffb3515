"""From the picture of a page to its text: what reads a scan, where it is turned on."""

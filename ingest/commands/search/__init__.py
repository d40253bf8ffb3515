"""Show where in a hit the answer stands: its page, its heading, and the lines that answer."""

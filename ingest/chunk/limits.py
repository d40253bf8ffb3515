"""What a splitter can be asked for."""

FEWEST_TOKENS = 16
MOST_OVERLAP = 0.5

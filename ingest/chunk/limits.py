"""What a splitter can be asked for."""

FEWEST_TOKENS = 16
MOST_OVERLAP = 0.2  # less than the shortest chunk, or a chunk could be all repetition

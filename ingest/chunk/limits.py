"""What a splitter can be asked for."""

MIN_CHUNK_TOKENS = 16
MAX_OVERLAP_SHARE = 0.2  # less than the shortest chunk, or a chunk could be all repetition

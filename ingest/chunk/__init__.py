"""Split documents into chunks. Pure.

The limits are here and not in split.py, so that the settings, which are checked against them, do
not load the tokenizer.
"""

MIN_CHUNK_TOKENS = 16
MAX_OVERLAP_SHARE = 0.2  # of the limit; below the shortest chunk, so that none is all repetition

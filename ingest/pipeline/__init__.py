"""The pipeline: sources, extract, chunk, embed, index."""

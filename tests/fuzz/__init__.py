"""Texts that nobody would write, for what cleans and splits those that everybody does.

`scripts/test tests/fuzz --hypothesis-profile=long` looks for an hour instead of seconds.
"""

"""Fuzz tests of cleaning and splitting, with texts that nobody would write.

`scripts/test tests/fuzz --hypothesis-profile=long` runs for an hour instead of seconds.
"""

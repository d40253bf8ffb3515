"""Figures of a page: pictures and drawings, with their captions. Pure geometry, no engine."""

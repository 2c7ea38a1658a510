"""Handwritten digits, which need no download, as every kind of data."""

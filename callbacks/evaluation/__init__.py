"""Callbacks that score."""

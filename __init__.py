"""Train and evaluate models that rank images."""

__version__ = "0.2.0"

"""Machines that losses and metrics run on: torch alone, and NumPy on the CPU."""

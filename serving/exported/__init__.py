"""A trained model without its training: a graph, its contract, and the way to the hub and back."""

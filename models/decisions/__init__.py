"""From scores to sets of labels."""

"""From features to one logit a class."""

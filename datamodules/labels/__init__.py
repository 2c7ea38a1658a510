"""What the labels of a table are: one class, a set, numbers, or graded relevance."""

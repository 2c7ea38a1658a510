"""Published data sets, one a file, in the formats in which they were released."""

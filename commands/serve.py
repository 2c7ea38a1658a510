"""`ranklight serve`: an index on a page of this machine."""

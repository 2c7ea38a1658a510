"""Images, annotations and tables from disk."""

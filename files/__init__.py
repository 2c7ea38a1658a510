"""What is read and written whole, or refused with its name: text, Parquet, figures, Markdown."""

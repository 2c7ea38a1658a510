"""A trained model at work: vectors of images, an index of them, a search, a page, an export."""

"""Side by side with peers: each prints a markdown table."""

"""The parts of a report's page, one a file."""

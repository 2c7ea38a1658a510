"""What several runs say together: differences, intervals, searches of settings, claims."""

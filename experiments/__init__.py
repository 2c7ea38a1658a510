"""The command line, and one YAML an experiment."""

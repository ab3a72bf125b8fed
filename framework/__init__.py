"""Performance studies as one YAML file and one command."""

"""Language: YAML files as plain values with their places, and as checked objects."""

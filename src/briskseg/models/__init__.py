"""The networks, one a file, and the dictionary of their names."""

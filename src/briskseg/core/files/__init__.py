"""Files: limits, safe names, atomic writing, and pictures that others made."""

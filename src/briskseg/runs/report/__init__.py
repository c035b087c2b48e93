"""From a run folder to one HTML page; reads files only."""

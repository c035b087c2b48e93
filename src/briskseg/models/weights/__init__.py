"""Published weights: the layouts that are known, and their conversion."""

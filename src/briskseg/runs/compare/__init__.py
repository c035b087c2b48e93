"""Two runs side by side: their curves, their scores, and whether the one repeats the other."""

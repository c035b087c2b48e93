"""A predictor judged: its scores on a data set, seen once or several times an image."""

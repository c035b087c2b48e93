"""Scores of a predictor on a data set."""

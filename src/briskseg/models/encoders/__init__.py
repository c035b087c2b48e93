"""Encoders by themselves: from a file, and as classifiers for pretraining."""

"""From pairs to batches: augmentation, loading, and the set in a GPU's memory."""

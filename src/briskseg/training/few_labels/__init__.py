"""Learning where labels are few: from a trained network."""

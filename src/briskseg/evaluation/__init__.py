"""A predictor judged: its scores on a data set; its speed, stage by stage, and its memory."""

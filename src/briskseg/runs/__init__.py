"""What a run left: its scores, its report, and its comparison with another run."""

"""Find the image and label pairs of a data set, decode them, check them, and vary them."""

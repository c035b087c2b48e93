"""What a score is: the confusion matrix and the interval of a mean IoU over images."""

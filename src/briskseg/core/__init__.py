"""The parts that every other part may use: numpy and OpenCV only."""

"""The parts that every other part may use: numpy, OpenCV, Pillow and pydantic only."""

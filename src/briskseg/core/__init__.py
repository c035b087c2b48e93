"""The parts that every other part may use: numpy, OpenCV, Pillow, pydantic and safetensors."""

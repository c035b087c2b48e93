"""From a weights file to label maps; no torch outside `backends/torch_backend.py`."""

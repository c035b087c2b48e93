"""From a weights file to label maps; no torch outside `torch_.py`."""

"""Videos, cameras and windows: frames in, labels drawn and written."""

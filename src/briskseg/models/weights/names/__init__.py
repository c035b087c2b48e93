"""From our names of parameters and buffers to published ones, one network a file."""

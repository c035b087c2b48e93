"""How a street is drawn: shapes in meters, painted far to near into an image and its labels.

`painter` projects, lights and fills shapes, and nothing else sets a label; `shapes` makes their
outlines; `roadside` and `traffic` put shapes together into things; `street` lays out a street and
places the things; `photograph` adds sky, shadows, haze, texture and the camera's sensor.
"""

"""How a street is drawn: shapes in meters, painted far to near into an image and its labels.

`painter` projects, lights and fills shapes, and nothing else sets a label; `outlines` makes what
they are made of; `roadside` and `traffic` put shapes together into things; `street` lays out a
street and places the things; `photograph` adds sky, shadows, haze, texture and the sensor.
"""

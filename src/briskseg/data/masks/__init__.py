"""Data sets whose labels are masks, however they lie on disk.

`own_layouts.py` and `published_sets.py` are tables: where images and masks lie, what their names
end in, what makes the splits and names the classes. `finder.py` is the one that reads them all.
"""

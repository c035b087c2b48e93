"""Whether a mask of indices was resized with interpolation, where all its values are classes.

Between two classes, say 2 and 9, interpolation leaves a pixel or two of 4 or 6, which are classes
too. True masks have such thin runs as well, of poles and of far-off things, but few, and their
values lie between their neighbors' by chance alone.
"""

from __future__ import annotations

import numpy as np

from briskseg.core.types import Array

_THIN = 2  # pixels at most that interpolation leaves of a value, where it does not enlarge much

# Of the borders in true masks, CamVid's and drawn ones, at whatever size and with the classes in
# whatever order, fewer than 30 are blended or less than a quarter of all.
_BORDERS, _SHARE = 30, 0.3
_BETWEEN = 0.5  # of the thin runs, how many have a value between their neighbors'
# A contour that was drawn around things is one value; interpolation makes many.
_VALUES, _ONE_VALUE = 3, 0.7


def blended_share(values: Array, lengths: Array) -> float:
    """The share of a mask's borders that are blended, where they leave no doubt that it was resized
    with interpolation; else 0. values, lengths: the mask's runs along its rows, one after another.

    A border is where two areas meet in a row: sharply, or blended, with one or two thin runs whose
    values rise or fall from one area's to the other's.
    """
    wide = np.pad(lengths > _THIN, (1, 2))  # so that every thin run has neighbors
    first = np.flatnonzero(~wide[1:-2] & wide[:-3])  # thin runs after wide ones
    sharp = int(np.count_nonzero(wide[:-1] & wide[1:]))
    if len(first) < max(_BORDERS, _SHARE * (len(first) + sharp)):
        return 0.0
    held = np.pad(values.astype(np.int64), (1, 2), mode="edge")
    before, thin, after = held[first], held[first + 1], held[first + 2]
    step = np.sign(thin - before)
    has_one = wide[first + 2]
    has_two = ~has_one & wide[first + 3]
    is_between = np.sign(after - thin) == step
    goes_on = is_between & (np.sign(held[first + 3] - after) == step)
    is_blended = (has_one & is_between) | (has_two & goes_on)
    by_value = np.bincount(thin[is_blended])
    blended = int(by_value.sum())
    if blended < max(_BORDERS, _SHARE * (blended + sharp), _BETWEEN * np.count_nonzero(has_one)):
        return 0.0
    if np.count_nonzero(by_value) < _VALUES or by_value.max() > _ONE_VALUE * blended:
        return 0.0
    return blended / (blended + sharp)

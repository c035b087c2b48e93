"""What stands in the label files for each class, as they are read: `index 2 = 0,128,0`."""

from __future__ import annotations

from briskseg.core.labels import IGNORED
from briskseg.data.check.scan import Scan


def label_meaning(scan: Scan) -> dict[int, str]:
    """For each class index, and 255 for what is ignored, the values or colors that mean it.

    Colors stand there where a file is read by color, values where one is read by value; of what is
    ignored only what the files hold.
    """
    labels = scan.dataset.labels
    items = [item for item in scan.pairs if item.label is not None]
    if any(item.label.is_decoded for item in items if item.label is not None):
        return {}
    by_color = any(item.by_color for item in items)
    by_value = not all(item.by_color for item in items)
    said: dict[int, list[str]] = {}
    if by_value:
        held = {value for i in items if i.label and not i.by_color for value in i.label.histogram}
        for value, index in labels.class_of_value.items():
            if index != IGNORED or value in held:
                said.setdefault(index, []).append(str(value))
        if IGNORED in held and IGNORED not in labels.class_of_value:
            said.setdefault(IGNORED, []).append(str(IGNORED))
    if by_color:
        for color, index in labels.class_of_color.items():
            said.setdefault(index, []).append(",".join(map(str, color)))
    return {index: " or ".join(_short(what)) for index, what in said.items()}


def _short(what: list[str]) -> list[str]:
    return what if len(what) <= 4 else [*what[:3], f"{len(what) - 3} more"]

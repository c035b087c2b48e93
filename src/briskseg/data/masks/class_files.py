"""The classes of one's own data: the list beside it, and what to write where there is none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import numpy as np

from briskseg.core.errors import DataError, RequestError
from briskseg.core.labels import CAMVID32, IGNORED, LabelSet
from briskseg.core.labels.class_list import parse_class_list, written_class
from briskseg.core.labels.fix_hints import NEAR
from briskseg.core.labels.mask_files import rgb
from briskseg.core.wording import counted
from briskseg.data.dataset import Dataset, MaskDataset, Pair
from briskseg.data.file_stats import LabelStats, mask_stats
from briskseg.data.masks.layout import CANONICAL, Classes
from briskseg.data.shape_dataset import classes_of

# In the order of asking: what a person wrote goes before what a tool did.
CLASS_FILES = (
    "classes.txt",
    "class_dict.csv",
    "labelmap.txt",
    "_classes.csv",
    "labels.txt",
    "codes.txt",
    "label_colors.txt",
    "class_names.txt",
)
_LOOKED_AT = 30  # label files whose values are proposed as classes
_PROPOSED = 40  # values, at most: more are no class indices
_AREA = 0.005  # of the pixels, from which on one of many colors is a class's

_VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
)


def own_classes(root: Path) -> Classes | None:
    """The classes of the list in a folder, or in each of its split folders (as Roboflow writes);
    None where there is no list. Raises DataError where the lists of two splits differ."""
    for name in CLASS_FILES:
        if (root / name).is_file():
            return Classes(LabelSet.from_classes_txt(root / name), (root / name,))
    files = [root / word / "_classes.csv" for word in CANONICAL]
    files = [path for path in files if path.is_file()]
    sets = [LabelSet.from_classes_txt(path) for path in files]
    for path, labels in zip(files, sets, strict=True):
        if labels.names != sets[0].names or labels.values != sets[0].values:
            raise DataError(
                f"{path}: names other classes than {files[0]}; give both splits the same list"
            )
    return Classes(sets[0], tuple(files)) if sets else None


def voc_classes(root: Path) -> Classes | None:
    """The list in the folder; of VOC itself, whose images are named 2007_000032, its 21 classes."""
    found = own_classes(root)
    if found is not None:
        return found
    is_voc = (root / "Annotations").is_dir() and (root / "ImageSets" / "Main").is_dir()
    first = next((root / "SegmentationClass").glob("*.png"), None) if is_voc else None
    if first is not None and re.fullmatch(r"\d{4}_\d{6}", first.stem):
        return Classes(LabelSet(tuple(_VOC.split()), _voc_colors()))
    return None


def kaggle_classes(root: Path) -> Classes | None:
    """The list in the folder; where it names CamVid's classes, with what is known of that split."""
    found = own_classes(root)
    if found is None or 2 * len({*found.labels.names} & {*CAMVID32.names}) < len(
        found.labels.names
    ):
        return found
    flaw = (
        "this is Kaggle's CamVid: its split is known to draw neighboring frames of one video into "
        "train and val, so that scores on it are too high; SegNet's split is by drive"
    )
    return found._replace(flaws=(flaw,))


def _voc_colors() -> tuple[tuple[int, int, int], ...]:
    """VOC's color map: the bits of the index, three by three, from the highest bit of a channel."""
    colors = []
    for index in range(21):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        colors.append((channels[0], channels[1], channels[2]))
    return tuple(colors)


def list_with(dataset: Dataset, names: Sequence[str]) -> str:
    """The text of a classes.txt, as printf takes it, by which the same label files are read with
    these classes, in this order; "" where the data have others, or no list says it."""
    is_listed = {*dataset.lists}.intersection(dataset.root / name for name in CLASS_FILES)
    if dataset.kind in ("labelme", "label-studio") and not is_listed:
        read_names = classes_of(dataset.root, names).labels.names  # which ignores a `void`
        lines = [*map(written_class, names)] if {*names} <= {*read_names} else []
    elif isinstance(dataset, MaskDataset) and is_listed:
        lines = _lines_with(dataset.labels, names)
    else:
        return ""
    text = "\n".join([*lines, ""])
    try:
        read = LabelSet.from_class_list(parse_class_list(text, dataset.root))
    except DataError:
        return ""
    is_whole = {*dataset.names} <= {*names} == {*read.names} and not {*"'%\\"} & {*text}
    return text.replace("\n", "\\n") if is_whole else ""


def _lines_with(labels: LabelSet, names: Sequence[str]) -> list[str]:
    """The lines of a list of these classes for files that hold those of `labels`."""
    value_of = {index: value for value, index in labels.class_of_value.items()}
    unused = (value for value in range(IGNORED) if value not in labels.class_of_value)
    has_colors = labels.colors != LabelSet(labels.names).colors
    lines = []
    for name in names:
        index = labels.names.index(name) if name in labels.names else None
        value = next(unused, None) if index is None else value_of[index]
        has_color = index is not None and has_colors
        color = f" #{bytes(labels.colors[index or 0]).hex()}" if has_color else ""
        lines.append(f"{value} {name}{color}")
    lines += [f"ignore {value}" for value in labels.ignored]
    return lines + [f"ignore #{bytes(color).hex()}" for color, _ in labels.merged_colors]


def no_classes(root: Path, text: str, pairs: Sequence[Pair]) -> RequestError:
    """The error where images and labels are there and nothing names the classes: what the label
    files hold, and the line of shell that makes a list of it."""
    message = (
        f"{root}: images and labels are there ({text}), but no classes.txt; write one: a class "
        "name a line, in the order of the class indices"
    )
    step = max(1, len(pairs) // _LOOKED_AT)
    stats = [mask_stats(pair.label) for pair in pairs[::step]]
    return RequestError(message + _proposal(root, [s for s in stats if isinstance(s, LabelStats)]))


def _proposal(root: Path, stats: list[LabelStats]) -> str:
    is_color = 2 * sum(s.is_color for s in stats) > len(stats)
    pixels = Counter[int]()
    for s in (s for s in stats if s.is_color == is_color):
        pixels.update(s.histogram)
    held, more = sorted(pixels), ""
    if is_color and len(held) > _PROPOSED:  # blends along borders, or what lossy compression makes
        held = sorted(_areas(pixels))
        more = f", and {len(pixels) - len(held)} others on few pixels, near these or between two"
    elif is_color:
        common = [color for color, _ in pixels.most_common()]
        blends = [c for i, c in enumerate(common) if _is_blend(c, common[:i])]
        if blends:
            listed = ", ".join(f"#{color:06x}" for color in sorted(blends))
            more = f"; where {listed} are only soft borders, leave out their lines"
    if not held or len(held) > _PROPOSED:
        return ""
    clear = sum(s.clear for s in stats)
    shown = [f"#{value:06x}" if is_color else str(value) for value in held]
    counts = [counted(pixels[value], "pixel") for value in held]
    what = ", ".join(f"{name} ({n})" for name, n in zip(shown, counts, strict=True))
    if is_color:
        lines = [f"class{i} {name}" for i, name in enumerate(shown)]
    elif held == [0, IGNORED]:
        return (
            "; the label files hold 0 and 255: where 255 is the object, its two lines are "
            "`0 background` and `255 NAME`; where it means ignored, nothing is labeled"
        )
    else:
        classes = [value for value in held if value != IGNORED]
        is_dense = classes == [*range(len(classes))] and not clear
        lines = [f"class{v}" if is_dense else f"{v} class{v}" for v in classes]
        lines += [f"ignore {IGNORED}"] if IGNORED in held else []
        if IGNORED in held and not is_dense:
            more = f"; where {IGNORED} is a class, write `{IGNORED} NAME` in place of the last line"
    if clear:
        free = next(v for v in range(IGNORED) if v not in held)  # black, where no class is
        lines.insert(0, f"background #{free:06x}" if is_color else f"{free} background")
        more += f"; {counted(clear, 'transparent pixel')}, as which `background` stands first"
    listed = "\\n".join(lines)
    return (
        f"; the label files hold the {'colors' if is_color else 'values'} {what}{more}. To begin, "
        f"and to put in the names: printf '{listed}\\n' > {quote(str(root / 'classes.txt'))}"
    )


def _areas(pixels: Counter[int]) -> list[int]:
    """The colors that fill areas: not few pixels, and neither nearly one that more pixels have nor
    between two such, as along soft borders."""
    found: list[int] = []
    for color, n in pixels.most_common():
        if n >= _AREA * pixels.total() and not _is_blend(color, found):
            found.append(color)
    return found


def _is_blend(color: int, others: Sequence[int]) -> bool:
    """Whether a color is nearly one of the others, or lies between two of them."""
    ends = np.array([rgb(other) for other in others], np.float64).reshape(-1, 3)
    to = np.linalg.norm(ends - rgb(color), axis=1)
    # through a color between two the way from one to the other is hardly longer
    around = to[:, None] + to - np.linalg.norm(ends[:, None] - ends, axis=2)
    return bool((to <= NEAR).any() or (around <= NEAR).any())

"""The contract of a data set: what checking, counting, training and scoring may ask of one.

A format on disk is one file beside this one: it recognizes a folder, finds its pairs, and gives a
`Dataset` whose `read_labels` turns a pair's label file into class indices, whatever that file is.
Label files that are pictures (index masks, palettes, colors) are read by `MaskDataset`.
Nothing outside `data/` opens a label file or asks of which kind a data set is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from briskseg.core.errors import DataError, RequestError, nearest
from briskseg.core.images import image_size, read_image
from briskseg.core.labels import LabelSet
from briskseg.core.types import Image, Labels
from briskseg.data.file_stats import (
    FileProblem,
    ImageStats,
    LabelStats,
    decoded_stats,
    image_stats,
    mask_stats,
)

if TYPE_CHECKING:
    from briskseg.data.scorer import Scorer

# What a pixel in no shape is, where labels are shapes.
Unlabeled = Literal["background", "ignored"]


@dataclass(frozen=True)
class Pair:
    """An image and its labels; the name is unique within a split.

    image, label: the files that hold them, for messages and for telling whether they have changed;
    one file where the label file holds the image too.
    What is in them is known to the data set alone. is_shared: whether other pairs have their labels
    in the same file.
    """

    name: str
    image: Path
    label: Path
    is_shared: bool = False

    @property
    def labels_at(self) -> Path:
        """The file that a finding on the labels names: of a shared label file the image."""
        return self.image if self.is_shared else self.label


@dataclass(frozen=True)
class Unmatched:
    """A file that is half of no pair; problem says why, as in "image without label". listed: the
    line of a split's list that names it, and what is wrong there; "" where no list does. damage:
    what is wrong with the file itself, which may be why its other half is not known."""

    problem: str
    split: str
    path: Path
    listed: str = ""
    damage: str = ""


@dataclass(frozen=True)
class Dataset:
    """The pairs of a data set by split, and how each becomes arrays.

    A format's own class says how its label files are read (`read_labels`), and overrides what else
    is particular to it.

    lists: the files beside the pairs that were read: classes, splits, annotations. beside: what
    belongs to the format and is not needed. unlisted: images that no annotation file names. flaws:
    what is known to be wrong with a published set. split_seed: by which the splits were drawn; None
    where the data say them.
    """

    kind: str
    root: Path
    labels: LabelSet
    splits: Mapping[str, tuple[Pair, ...]] = field(repr=False)
    lists: tuple[Path, ...] = field(default=(), kw_only=True)
    beside: tuple[Path, ...] = field(default=(), kw_only=True)
    unlisted: tuple[Path, ...] = field(default=(), kw_only=True, repr=False)
    flaws: tuple[str, ...] = field(default=(), kw_only=True)
    split_seed: int | None = field(default=None, kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names, in the order of the class indices."""
        return self.labels.names

    def pairs(self, split: str) -> tuple[Pair, ...]:
        """The pairs of a split, sorted by name. Raises RequestError for one that is not there."""
        if split not in list(self.splits):  # which also takes what cannot be hashed
            raise RequestError(f"{self.root}: no split '{split}'; {nearest(split, self.splits)}")
        return self.splits[split]

    def training_on(self, splits: Sequence[str]) -> Dataset:
        """The same data, with the pairs of all these splits as "train"; where there are several a
        pair's name begins with its split's. Raises RequestError for a split that is not there."""
        if len(splits) == 1:
            pairs = self.pairs(splits[0])
        else:
            pairs = tuple(
                replace(pair, name=f"{split}/{pair.name}")
                for split in dict.fromkeys(splits)
                for pair in self.pairs(split)
            )
        return replace(self, splits={**self.splits, "train": pairs})

    def ignoring_unlabeled(self) -> Dataset:
        """The same data, with what nobody labeled ignored. Raises RequestError for masks, which
        say of every pixel what it is."""
        raise RequestError(
            f"{self.root}: unlabeled pixels can be set to be ignored for shapes only, and a "
            f"{self.kind} data set has masks, which say it themselves; leave `unlabeled` out"
        )

    def of_classes(self, names: tuple[str, ...]) -> Dataset:
        """The same data as a model of these classes was trained on."""
        return self

    def scan_settings(self) -> dict[str, Any]:
        """What `scan_labels` depends on beside the files, for JSON: empty where on nothing."""
        return asdict(self.labels)

    def label_files(self, pair: Pair) -> tuple[Path, ...]:
        """The files that the labels are read from, whose change makes them others."""
        return (pair.label,)

    def read_image(self, pair: Pair) -> Image:
        """The image, (H, W, 3) uint8 RGB, upright. Of 16 bits the upper 8 are left, so one that
        uses few bits is black, as `briskseg check` says. Raises DataError naming a damaged
        file."""
        return read_image(self.image_file(pair))

    def image_file(self, pair: Pair) -> Path:
        """The image as a file: the pair's own, or in memory where it lies in the label file. Raises
        DataError naming a damaged one."""
        return pair.image

    def read_labels(self, pair: Pair) -> Labels:
        """The labels, (H, W) uint8: class indices, 255 ignored.

        Raises DataError naming a file that is damaged, UnknownLabelError where it holds what is no
        class.
        """
        raise NotImplementedError

    def read(self, pair: Pair) -> tuple[Image, Labels]:
        """Both; raises DataError as they do, and when the two sizes differ."""
        image_hwc, labels_hw = self.read_image(pair), self.read_labels(pair)
        if image_hwc.shape[:2] != labels_hw.shape:
            (image_h, image_w), (label_h, label_w) = image_hwc.shape[:2], labels_hw.shape
            raise DataError(
                f"{pair.image} is {image_w}x{image_h} and its labels {pair.label} are "
                f"{label_w}x{label_h} (width x height); make them the same size, the labels with "
                "nearest-neighbor resizing"
            )
        return image_hwc, labels_hw

    def size(self, pair: Pair) -> tuple[int, int]:
        """The image's (height, width) in pixels, by its header: no pixel is decoded.

        Raises DataError naming a file that is missing or damaged.
        """
        return image_size(self.image_file(pair))

    def scan_image(self, pair: Pair) -> ImageStats | FileProblem:
        """What `check` must know of the image; what cannot be read is a problem, no error."""
        try:
            stats = image_stats(self.image_file(pair))
        except DataError as error:
            return FileProblem("damaged-file", pair.image, str(error))
        return stats if isinstance(stats, ImageStats) else replace(stats, path=pair.image)

    def scan_labels(self, pair: Pair) -> LabelStats | FileProblem:
        """What `check` must know of the labels; what cannot be read is a problem, no error."""
        return decoded_stats(pair.label, lambda: self.read_labels(pair))

    def scorer(self, split: str, label_size: tuple[int, int] | None = None) -> Scorer:
        """What counts predictions on a split, by the rules of this data set's benchmark.

        label_size: (height, width) that labels are resized to first; None: their own.
        """
        from briskseg.data.scorer import Scorer

        return Scorer(self, self.pairs(split), label_size)


@dataclass(frozen=True)
class MaskDataset(Dataset):
    """A data set whose label files are pictures: 8- or 16-bit indices, a palette, or RGB colors."""

    def scan_settings(self) -> dict[str, Any]:
        """Nothing: values and colors are counted as the file holds them."""
        return {}

    def read_labels(self, pair: Pair) -> Labels:
        """The labels, (H, W) uint8, as `LabelSet.read` decodes the file; errors as there."""
        return self.labels.read(pair.label)

    def scan_labels(self, pair: Pair) -> LabelStats | FileProblem:
        """The values or colors of the file as it holds them, whatever the classes are."""
        return mask_stats(pair.label)


# What a format's finder gives: the data set, and the files that are half of no pair.
Found = tuple[Dataset, tuple[Unmatched, ...]]


class Format(NamedTuple):
    """A format on disk.

    recognizes: whether a folder is of it. find: the data set in a folder, given a class set (None:
    the format's own) and a seed for the split where the data has none. layouts: for `briskseg data`
    and messages, how files lie.
    """

    recognizes: Callable[[Path], bool]
    find: Callable[[Path, str | None, int], Found]
    layouts: tuple[str, ...]


def refuse_class_set(root: Path, asked: str | None, where: str, own: str | None = None) -> None:
    """Raise a RequestError where another class set was asked for than the data's own, which has a
    name or none."""
    if asked not in (None, own):
        cure = f"ask for '{own}', or for none" if own else "leave the class set out"
        raise RequestError(
            f"{root}: the class set '{asked}' was asked for, but the classes are those of {where}; "
            f"{cure}"
        )

"""What a published code's network is to ours: its names of our parameters, how it feeds images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

# Substitutions (regular expression, replacement) from our names to published ones, in order.
Names = Sequence[tuple[str, str]]

NO_NAME = r"(?!)"  # matches no name


@dataclass(frozen=True)
class Layout:
    """One published code's network.

    mean, std: what it subtracts from and divides images by, RGB in units of [0, 1].
    size: (height, width) to which it resizes Cityscapes images for scoring; None: as they are.
    """

    title: str
    network: str
    options: Mapping[str, bool | int | float | str]
    names: Names
    last: str  # their tensor of the last convolution that has as many values as there are classes
    # regular expressions
    ignored: str = NO_NAME  # their tensors that no layer here has
    zero: str = NO_NAME  # ours that their network lacks, where 0 makes it the same network
    absolute: str = NO_NAME  # their batch norms' scales w that act as |w| + 1e-5: InPlaceABN's
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # ImageNet's
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    size: tuple[int, int] | None = None
    license: str = "as whoever published the source states it"  # of the published weights

    def has(self, ours: str) -> bool:
        """Whether their network has one of our parameters or buffers."""
        return not re.search(self.zero, ours)

    def reads(self, theirs: str) -> bool:
        """Whether one of their tensors is one of ours."""
        return not re.search(self.ignored, theirs)

    def without_heads(self) -> Layout:
        """The same network trained or saved without the heads that only training uses."""
        title = f"{self.title}, without auxiliary heads"
        return replace(self, title=title, options={**self.options, "auxiliary": False})


def part_of(ours: str, names: Names) -> tuple[str, int, int]:
    """The published name of one of our parameters or buffers, and which of how many equal parts of
    it along the first dimension is ours: a substitution that ends with "#1/3" says the second of
    three."""
    for pattern, replacement in names:
        ours = re.sub(pattern, replacement, ours)
    name, _, part = ours.partition("#")
    index, _, parts = (part or "0/1").partition("/")
    return name, int(index), int(parts)

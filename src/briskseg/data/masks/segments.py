"""Masks that number segments, and a JSON file that says of which class each segment is.

WildDash 2's `panoptic/` (three channels: R + 256 G + 65536 B) with panoptic.json, as COCO's
panoptic sets; Segments.ai's `NAME_label_ground-truth.png` (16 or 32 bits) with the release's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from briskseg.core.errors import DataError, UnknownLabelError
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.core.labels.mask_files import packed_colors, read_exact_mask, without_alpha
from briskseg.core.types import Labels
from briskseg.data.annotations import Entry, read_json
from briskseg.data.dataset import Dataset, Pair
from briskseg.data.masks.layout import Classes


@dataclass(frozen=True)
class SegmentDataset(Dataset):
    """Labels by segments; segments: of each label file the class of each segment's number. Number 0
    is no segment and is ignored."""

    segments: Mapping[Path, Mapping[int, int]] = field(default_factory=dict)

    def label_files(self, pair: Pair) -> tuple[Path, ...]:
        """The mask, and the JSON files that say what is in it."""
        return pair.label, *self.lists

    def read_labels(self, pair: Pair) -> Labels:
        """The labels, (H, W) uint8; UnknownLabelError for a segment that the JSON does not name."""
        pixels = without_alpha(read_exact_mask(pair.label).pixels, pair.label)
        if pixels.ndim == 3:
            pixels = packed_colors(pixels[..., ::-1])  # the lowest byte is the red one
        known = {0: IGNORED} | dict(self.segments.get(pair.label, {}))
        numbers, where, counts = np.unique(pixels, return_inverse=True, return_counts=True)
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        if unknown := {number: n for number, n in pairs if number not in known}:
            raise UnknownLabelError(
                pair.label,
                unknown,
                f"the {len(known) - 1} segments that the JSON file names for it",
                "export masks and JSON together again",
            )
        classes = np.array([known[number] for number in numbers.tolist()], np.uint8)
        return np.asarray(classes[where.reshape(pixels.shape)])


def segments_ai_classes(root: Path) -> Classes | None:
    """The categories of a Segments.ai release, and each sample's segments."""
    for path in sorted(root.glob("*.json")):
        content = read_json(path).value
        release = content.get("dataset") if isinstance(content, dict) else None
        if not isinstance(release, dict) or "samples" not in release:
            continue
        try:
            categories = [c for c in release["task_attributes"]["categories"] if c["id"] != 0]
            labels = LabelSet(tuple(str(category["name"]) for category in categories))
            index_of = {category["id"]: i for i, category in enumerate(categories)}
            segments = {
                root / f"{Path(sample['name']).stem}_label_ground-truth.png": {
                    int(one["id"]): index_of.get(one["category_id"], IGNORED)
                    for one in sample["labels"]["ground-truth"]["attributes"]["annotations"]
                }
                for sample in release["samples"]
                if sample["labels"].get("ground-truth")
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path}: no release of Segments.ai as expected ({error!r}); export it again"
            ) from error
        return Classes(labels, (path,), partial(SegmentDataset, segments=segments))
    return None


def panoptic_segments(
    path: Path, masks: Path, index_of: Mapping[int, int]
) -> dict[Path, dict[int, int]]:
    """The segments of a panoptic JSON file by their mask, which lies in the folder `masks`;
    index_of: the class of each category that is one, all others are ignored."""
    content = read_json(path)
    if not content["annotations"].entries():
        raise content["annotations"].fault("the segments of every image")
    numbers = (entry["id"].integer() for entry in content["categories"].entries())
    known = dict.fromkeys(numbers, IGNORED) | dict(index_of)
    return {
        masks / entry["file_name"].text(): segment_classes(entry, known)
        for entry in content["annotations"].entries()
    }


def segment_classes(image: Entry, of_category: Mapping[int, int]) -> dict[int, int]:
    """The class or `IGNORED` of each segment of an image in a panoptic JSON file; crowds are
    ignored. Raises DataError for a category that is not there."""
    found = {}
    for segment in image["segments_info"].entries():
        category = segment["category_id"]
        if category.integer() not in of_category:
            raise category.fault("the id of a category")
        known = of_category[category.integer()]
        found[segment["id"].integer()] = IGNORED if segment["iscrowd"].value else known
    return found

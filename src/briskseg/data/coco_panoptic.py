"""COCO panoptic: PNG files whose colors are segment ids, and a JSON file that says of what category
each segment is. Segments of crowds, and pixels of no segment (black), are ignored."""

from __future__ import annotations

from pathlib import Path

from briskseg.core.errors import RequestError
from briskseg.core.labels import IGNORED, LabelSet
from briskseg.data.annotations import ImageIndex, peek, read_json
from briskseg.data.dataset import Found
from briskseg.data.masks.segments import SegmentDataset, segment_classes
from briskseg.data.shape_dataset import PairList, classes_of, split_of


def files(candidates: list[Path]) -> list[Path]:
    """Those of the JSON files that are panoptic ones."""
    return [path for path in candidates if '"segments_info"' in peek(path)]


def find(root: Path, paths: list[Path], seed: int) -> Found:
    """Find the images with their PNG files."""
    if not paths:
        raise RequestError(f"{root}: no panoptic_*.json; ask for the class set instances")
    from briskseg.data.coco import bases_of

    contents = {path: read_json(path) for path in paths}
    categories: dict[int, str] = {}
    for content in contents.values():
        categories |= {c["id"].integer(): c["name"].text() for c in content["categories"].entries()}
    classes = classes_of(root, (categories[number] for number in sorted(categories)))
    names = classes.labels.names if 0 in classes.index.values() else classes.labels.names[1:]
    labels = LabelSet(names)
    of_category = {
        number: IGNORED if classes.index[name] == IGNORED else names.index(_listed(name, names))
        for number, name in categories.items()
    }
    images, pairs = ImageIndex(root), PairList(root, seed)
    for path, content in contents.items():
        stated = {entry["id"].value: entry for entry in content["images"].entries()}
        split = split_of(path.stem) or split_of(path.parent.relative_to(root).as_posix())
        folder = path.parent.relative_to(root).as_posix()
        masks = [f"{folder}/{path.stem}", path.stem, f"annotations/{path.stem}", folder]
        for entry in content["annotations"].entries():
            mask = images.find(entry["file_name"].text(), masks)
            image_id = entry["image_id"].value
            listed = stated.get(image_id) if isinstance(image_id, int | str) else None
            if listed is None:
                raise entry["image_id"].fault("the id of an image of the file")
            image = images.find(listed["file_name"].text(), bases_of(root, path))
            if image is None:
                pairs.missing(split, mask or path)
            elif mask is None:
                pairs.unmatched_image(split, image)
            else:
                pairs.add(split, image, mask, segment_classes(entry, of_category))
    splits = pairs.splits()
    segments = {p.label: pairs.content[p.image] for some in splits.values() for p in some}
    dataset = SegmentDataset("coco", root, labels, splits, segments, lists=tuple(paths))
    return dataset, tuple(pairs.unmatched)


def _listed(name: str, names: tuple[str, ...]) -> str:
    return name if name in names else names[0]  # another spelling of background

"""README.md of a repository: the file's own card and the run's scores as a model card of the Hub.

Its first lines are YAML that the Hub searches by (https://huggingface.co/docs/hub/model-cards),
written and checked by the Hub's own client; the rest is for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from briskseg.core.card import Card
from briskseg.data.masks.published_sets import PUBLISHED
from briskseg.hub.client import Repository, client
from briskseg.runs.scores import Scores

CURVES = "curves.png"
_CODE = "https://www.apache.org/licenses/LICENSE-2.0"

# Data sets that people know by these names; of one's own data there is no name to search by.
_SETS = {"cityscapes", "camvid", *(layout.name for layout in PUBLISHED)}

# The beginnings of a card's licence that the Hub has a name for.
_LICENSES = re.compile(
    r"(apache-2\.0|mit|bsd-[23]-clause|cc0-1\.0|cc-by(-nc)?(-sa|-nd)?-[234]\.0|a?gpl-3\.0|openrail)"
    r"(?!\.?\w|-)",
    re.IGNORECASE,
)


def model_card(
    repository: Repository, card: Card, scores: Scores | None, files: Sequence[str]
) -> str:
    """The text of README.md. files: the names of what lies beside it.

    Raises MissingExtraError without huggingface_hub, ValueError where its client finds that the
    YAML is not the Hub's.
    """
    hub = client("a model card")
    front = _front(hub, repository, card, scores)
    body = "\n\n".join(part for part in _parts(repository, card, scores, files) if part)
    text = f"---\n{front.to_yaml()}\n---\n\n{body}\n"
    hub.ModelCard(text)  # reads the YAML as the Hub does: ValueError where that is none
    return text


def _front(hub: Any, repository: Repository, card: Card, scores: Scores | None) -> Any:
    data = str(card.training.get("data", ""))
    known = data if data in _SETS else ""
    results = []
    if scores is not None and scores.miou is not None:
        for kind, name, value in (
            ("mean_iou", "mIoU", scores.miou),
            ("accuracy", "pixel accuracy", scores.pixel_accuracy),
        ):
            results.append(
                hub.EvalResult(
                    task_type="image-segmentation",
                    dataset_type=known or "own",
                    dataset_name=known or "the author's own data",
                    dataset_split=scores.split,
                    metric_type=kind,
                    metric_name=name,
                    metric_value=value,
                )
            )
    found = _LICENSES.match(card.license)
    unlisted = bool(card.license) and found is None
    return hub.ModelCardData(
        library_name="briskseg",
        license=found[0].lower() if found else "other" if unlisted else None,
        license_name="see-below" if unlisted else None,
        pipeline_tag="image-segmentation",
        tags=["semantic-segmentation", "real-time", "briskseg", card.network.name],
        datasets=[known] if known else None,
        model_name=repository.name,
        eval_results=results or None,
    )


def _parts(
    repository: Repository, card: Card, scores: Scores | None, files: Sequence[str]
) -> Iterable[str]:
    network, size = card.network, card.input.size
    yield f"# {repository.name}"
    yield (
        f"`{network.name}`, a network for real-time semantic segmentation: a photograph in, the "
        f"class of every pixel out. It knows {network.classes} classes. {_sentence(card.source)}"
    ).rstrip()
    yield from _use(repository, files)
    yield from _scores(card, scores, files)
    yield "## Input"
    mean, std = (", ".join(f"{x:g}" for x in xs) for xs in (card.input.mean, card.input.std))
    sized = f"resized to {size[0]} x {size[1]} pixels (height x width)" if size else "of any size"
    yield (
        f"RGB images, {sized}, as (image / 255 - mean) / std with mean {mean} and std {std}. "
        "briskseg and the exported files do that themselves: they take plain images of 8 bits."
    )
    yield from _training(card)
    yield "## Licences"
    stated = _plain(card.license) or "not stated by who published them; ask before you use them"
    yield (
        f"- weights: {stated}\n"
        f"- code that made and runs them (briskseg): [Apache-2.0]({_CODE})\n"
        "- the images and labels they were trained on: as whoever published those states it"
    )


def _use(repository: Repository, files: Sequence[str]) -> Iterable[str]:
    yield "## Use"
    yield (
        "```\npip install 'briskseg[hub,train]'\n"
        f"briskseg predict {repository.address} photo.jpg --out masks\n```"
    )
    yield (
        "```python\nimport briskseg\n\n"
        f'predictor = briskseg.load("{repository.address}")\n'
        "labels = predictor(image)  # (H, W, 3) uint8 RGB -> (H, W) uint8, class indices\n"
        "predictor.card.labels.names  # what they mean\n```"
    )
    if any(name.endswith(".onnx") for name in files):
        yield "Without torch (`pip install 'briskseg[hub]'`) the ONNX file is taken instead."
    listed = ", ".join(f"`{name}`" for name in files)
    yield f"One file is downloaded, and nothing in it is executed. Here are: {listed}."


def _scores(card: Card, scores: Scores | None, files: Sequence[str]) -> Iterable[str]:
    yield "## Classes and scores"
    if card.has_seen_val:
        yield "Val was trained on too, so scores on it say nothing about new images."
    elif scores is not None and scores.miou is not None:
        interval = ""
        if scores.miou_interval is not None:
            low, high = (f"{100 * share:.2f}" for share in scores.miou_interval)
            interval = f" (95 % interval over images: {low} to {high})"
        images = f" of {len(scores.images)} images" if scores.images else ""
        yield (
            f"On the split {_plain(scores.split)}{images}: mIoU {100 * scores.miou:.2f} %"
            f"{interval}, pixel accuracy {_percent(scores.pixel_accuracy)} %, mean accuracy "
            f"{_percent(scores.mean_accuracy)} %."
        )
    rows = ["| index | class | color | IoU, % | accuracy, % |", "| --: | --- | --- | --: | --: |"]
    for index, (name, color) in enumerate(zip(card.labels.names, card.labels.colors, strict=True)):
        found = None if scores is None else scores.classes.get(name)
        shares = (found.iou, found.accuracy) if found else (None, None)
        cells = [str(index), _plain(name), "#{:02x}{:02x}{:02x}".format(*color)]
        rows.append(f"| {' | '.join([*cells, *map(_percent, shares)])} |")
    yield "\n".join(rows)
    if CURVES in files:
        yield f"![Loss and validation scores along the training]({CURVES})"


def _training(card: Card) -> Iterable[str]:
    rows = [
        f"| {_plain(key.replace('_', ' '))} | {_plain(str(value))} |"
        for key, value in card.training.items()
        if isinstance(value, str | int | float) and value != ""
    ]
    if rows:
        yield "## Training"
        yield "\n".join(["| | |", "| --- | --- |", *rows])


def _sentence(text: str) -> str:
    return _plain(f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') or not text else '.'}")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _plain(text: str) -> str:
    """Text from a file that Markdown and HTML take for nothing but text."""
    return re.sub(r"([\\`*_\[\]|<>#~])", r"\\\1", escape(" ".join(text.split()), quote=False))

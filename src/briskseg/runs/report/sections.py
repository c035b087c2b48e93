"""The page's sections, each from what the run folder holds to HTML; every name in it is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from math import nan
from pathlib import Path

from PIL import Image

from briskseg.core.wording import counted
from briskseg.runs.report.charts import curves
from briskseg.runs.report.film import MOST_TALL, film_webp
from briskseg.runs.report.run_content import Run, open_picture
from briskseg.runs.run_folder import Row
from briskseg.runs.scores import Scores

_WIDEST_PX = 640  # in the page a picture is shown at most half as wide


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage; a dash where there is none."""
    return "-" if share is None or share != share else f"{100 * share:.1f} %"


def headline(run: Run) -> str:
    """The totals, or the best so far of a run that is not scored yet. Of a run that trains on val,
    what its starting weights had scored there, where that is known."""
    totals: list[tuple[str, float | None]] = []
    if run.scores is not None:
        totals = [
            (f"mIoU{_interval(run.scores)}", run.scores.miou),
            ("pixel accuracy", run.scores.pixel_accuracy),
            ("mean accuracy", run.scores.mean_accuracy),
            ("frequency-weighted IoU", run.scores.frequency_weighted_iou),
        ]
    elif run.card is not None and run.scores_nothing:
        if before := run.card.scores.get("val_miou_before"):
            totals = [("mIoU on val before it was trained on", before)]
    elif best := best_validation(run, "val_miou"):
        totals = [
            ("best mIoU so far", best["val_miou"]),
            ("its pixel accuracy", best.get("val_pixel_accuracy")),
        ]
    elif best := best_validation(run, "val_top1"):
        totals = [("best top-1 accuracy", best["val_top1"]), ("its top-5", best.get("val_top5"))]
    boxes = "".join(f"<div><b>{percent(x)}</b>{escape(name)}</div>" for name, x in totals)
    return f'<div class="headline">{boxes}</div>' if boxes else ""


def best_validation(run: Run, key: str) -> Row | None:
    """Of the validations with this score that of the best weights, as their card says: of several
    stages, which score different heads, the highest may be another one's."""
    known = [row for row in run.validations if row.get(key, nan) == row.get(key, nan)]
    epoch = run.card.training.get("epoch") if run.card is not None else None
    kept = [row for row in known if row.get("epoch") == epoch]
    return max(kept or known, key=lambda row: row[key], default=None)


def curve_section(run: Run) -> str:
    """Loss, scores and learning rate over the training."""
    charts = curves(run)
    if not charts:
        return ""
    boxes = "".join(f"<div><h3>{escape(t)}</h3>{svg}</div>" for t, svg in charts.items())
    rates = sorted(row["images_per_s"] for row in run.metrics if "images_per_s" in row)
    last = run.metrics[-1]
    notes = []
    if "samples" in last:
        notes.append(f"{last['samples']:,.0f} images seen")
    if "seconds" in last:
        notes.append(f"{_duration(last['seconds'])} of training")
    if rates:
        notes.append(f"{rates[len(rates) // 2]:.1f} images/s (median)")
    if run.card is not None and "logit_adjustment" in run.card.training:
        notes.append("curves and film are of before the logits were adjusted")
    return _section("Training", ", ".join(notes), f'<div class="charts">{boxes}</div>')


def film_section(run: Run) -> str:
    """The predictions on fixed images through the epochs."""
    film = film_webp(run)
    if film is None:
        return ""
    note = (
        "The same validation images after each validation. From top to bottom: image, truth, "
        "prediction."
    )
    picture = f'<img class="film" alt="Prediction film" src="{_data_url("image/webp", film)}">'
    return _section("Prediction film", note, picture + _legend(run))


def class_section(run: Run) -> str:
    """A bar a class, the best first."""
    if run.scores is None:
        return ""
    labels = run.card.labels if run.card else None
    colors = dict(zip(labels.names, labels.colors, strict=True)) if labels else {}
    # without an IoU last
    ranked = sorted(
        run.scores.classes.items(), key=lambda one: (one[1].iou is None, -(one[1].iou or 0))
    )
    rows = "".join(
        f"<span>{_chip(colors[name]) if name in colors else ''}{escape(name)}</span>"
        f'<i><u style="width:{100 * (one.iou or 0):.2f}%"></u></i>'
        f"<span>{percent(one.iou)} <small>accuracy {percent(one.accuracy)}</small></span>"
        for name, one in ranked
    )
    note = (
        f"On {counted(len(run.scores.images), 'image')} of {run.scores.split}. A class that is "
        "neither in the labels nor predicted has no IoU (-) and is left out of the mean; one that "
        "is predicted but not in the labels has IoU 0 and counts."
    )
    return _section("IoU by class", note, f'<div class="bars">{rows}</div>')


def confusion_section(run: Run) -> str:
    """The confusion matrix, each row as shares of its true class."""
    if run.scores is None or not run.scores.confusion:
        return ""
    names = [escape(name) for name in run.scores.classes]
    head = "".join(f"<th><span>{name}</span></th>" for name in names)
    rows = "".join(
        f"<tr><th>{name}</th>{_confusion_cells(name, names, counts)}</tr>"
        for name, counts in zip(names, run.scores.confusion, strict=True)
    )
    table = f'<table class="confusion"><thead><tr><th></th>{head}</tr></thead>{rows}</table>'
    note = "Each row: where the pixels of a true class went, in percent. On the diagonal: right."
    return _section("Confusion", note, f'<div class="wide">{table}</div>')


def example_section(run: Run, kind: str) -> str:
    """The images with the best or worst mIoU: image, truth, prediction."""
    figures = ""
    for example in run.examples:
        if example.kind == kind:
            name, miou = escape(example.stem), run.miou(example)
            score = f": mIoU {percent(miou)}" if miou is not None else ""
            figures += (
                f"<figure><figcaption>{name}{score}</figcaption><div>"
                f'<img src="{photo_url(example.image)}" alt="{name}, the image">'
                f'<img src="{mask_url(example.truth)}" alt="{name}, the truth">'
                f'<img src="{mask_url(example.prediction)}" alt="{name}, the prediction">'
                "</div></figure>"
            )
    if not figures:
        return ""
    note = "Image, truth, prediction; the mIoU is over the classes in that image."
    body = f'<div class="examples">{figures}</div>{_legend(run)}'
    return _section(f"{kind.capitalize()} images", note, body)


def recipe_section(run: Run) -> str:
    """What was trained and how: what the card says, and the recipe as it was resolved."""
    body = ""
    if (card := run.card) is not None:
        size = f"{card.input.size[0]} x {card.input.size[1]}" if card.input.size else "as they are"
        items = {
            "network": card.network.name,
            "images (height x width)": size,
            **{key.replace("_", " "): _listed(value) for key, value in card.training.items()},
            "source": card.source,
            "license": card.license,
        }
        rows = (
            f"<dt>{escape(key)}</dt><dd>{escape(str(value))}</dd>"
            for key, value in items.items()
            if value not in (None, "")
        )
        body = f"<dl>{''.join(rows)}</dl>"
    if run.recipe is not None:
        summary = f"<summary>{run.folder.recipe.name}, as resolved</summary>"
        body += f"<details>{summary}<pre>{escape(run.recipe)}</pre></details>"
    return _section("Recipe", "What was trained, and how.", body) if body else ""


def photo_url(path: Path) -> str:
    """A photograph as a JPEG `data:` URL, shrunk to the page's size."""
    written = io.BytesIO()
    with open_picture(path) as picture:
        small = _fit(picture.convert("RGB"), Image.Resampling.LANCZOS)
        small.save(written, format="JPEG", quality=88)
    return _data_url("image/jpeg", written.getvalue())


def mask_url(path: Path) -> str:
    """A palette picture of classes as a PNG `data:` URL; its colors stay unmixed."""
    written = io.BytesIO()
    with open_picture(path) as picture:
        _fit(picture, Image.Resampling.NEAREST).save(written, format="PNG", optimize=True)
    return _data_url("image/png", written.getvalue())


def _section(title: str, note: str, body: str) -> str:
    """A card of the page; `body` is HTML."""
    heading = f'<h2>{escape(title)}</h2><p class="soft">{escape(note)}</p>'
    return f"<section>{heading}{body}</section>"


def _interval(scores: Scores) -> str:
    if scores.miou_interval is None:
        return ""
    low, high = (f"{100 * share:.1f}" for share in scores.miou_interval)
    return f" (95 % over images: {low} to {high})"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _legend(run: Run) -> str:
    """A chip and a name for each class; without a card the colors stay unexplained."""
    if run.card is None:
        return ""
    pairs = zip(run.card.labels.names, run.card.labels.colors, strict=True)
    chips = "".join(f"<li>{_chip(color)}{escape(name)}</li>" for name, color in pairs)
    return f'<ul class="legend">{chips}<li>{_chip((0, 0, 0))}ignored</li></ul>'


def _chip(color: tuple[int, int, int]) -> str:
    red, green, blue = color
    return f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>'


def _confusion_cells(row_name: str, names: list[str], counts: Iterable[int]) -> str:
    pixels = list(counts)
    total = sum(pixels)
    cells = []
    for name, count in zip(names, pixels, strict=True):
        share = 100 * count / total if total else 0.0
        text = f"{share:.0f}" if share >= 0.5 else ""
        shade = f"color-mix(in srgb, var(--accent) {share:.0f}%, transparent)"
        title = f"{row_name} seen as {name}: {share:.2f} % ({count:,} pixels)"
        cells.append(f'<td title="{title}" style="background:{shade}">{text}</td>')
    return "".join(cells)


def _listed(value: object) -> object:
    """A list, or values by class, as people write them."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _data_url(kind: str, data: bytes) -> str:
    """`data:KIND;base64,...`, so that the page needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _fit(picture: Image.Image, method: Image.Resampling) -> Image.Image:
    if picture.width <= _WIDEST_PX and picture.height <= MOST_TALL * _WIDEST_PX:
        return picture
    width = min(picture.width, _WIDEST_PX)
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, min(height, MOST_TALL * _WIDEST_PX)), method)

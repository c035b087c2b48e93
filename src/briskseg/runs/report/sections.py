"""The page's sections, each from what the run folder holds to HTML; every name in it is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from briskseg.core.card import Card
from briskseg.runs.report.charts import curves
from briskseg.runs.report.film import film_gif
from briskseg.runs.report.pictures import data_address, mask_address, photo_address
from briskseg.runs.report.run_content import Example, Run
from briskseg.runs.scores import Scores


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage; a dash where there is none."""
    return "-" if share is None or share != share else f"{100 * share:.1f} %"


def section(title: str, note: str, body: str) -> str:
    """A card of the page; `note` and `body` are HTML."""
    return f'<section><h2>{escape(title)}</h2><p class="soft">{note}</p>{body}</section>'


def headline(run: Run) -> str:
    """The totals, or the best so far of a run that is not scored yet. One that trains on val shows
    what the weights that it began with had scored there, where that is known."""
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
    elif known := [row for row in run.validations if row["val_miou"] == row["val_miou"]]:
        best = max(known, key=lambda row: row["val_miou"])
        totals = [
            ("best mIoU so far", best["val_miou"]),
            ("its pixel accuracy", best.get("val_pixel_accuracy")),
        ]
    if not totals:
        return ""
    boxes = "".join(f"<div><b>{percent(x)}</b>{escape(name)}</div>" for name, x in totals)
    return f'<div class="headline">{boxes}</div>'


def _interval(scores: Scores) -> str:
    if scores.miou_interval is None:
        return ""
    low, high = (f"{100 * share:.1f}" for share in scores.miou_interval)
    return f" (95 % over images: {low} to {high})"


def curve_section(run: Run) -> str:
    """Loss, scores and learning rate over the training."""
    charts = curves(run)
    if not charts:
        return ""
    boxes = "".join(f"<div><h3>{escape(t)}</h3>{svg}</div>" for t, svg in charts.items())
    rates = [row["images_per_s"] for row in run.metrics if "images_per_s" in row]
    last = run.metrics[-1]
    facts = []
    if "samples" in last:
        facts.append(f"{last['samples']:,.0f} images seen")
    if "seconds" in last:
        facts.append(f"{duration(last['seconds'])} of training")
    if rates:
        facts.append(f"{sorted(rates)[len(rates) // 2]:.1f} images/s (median)")
    if run.card is not None and "logit_adjustment" in run.card.training:
        facts.append("curves and film are of before the logits were adjusted")
    return section("Training", escape(", ".join(facts)), f'<div class="charts">{boxes}</div>')


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def film_section(run: Run) -> str:
    """The predictions on fixed images through the epochs."""
    gif = film_gif(run)
    if gif is None:
        return ""
    note = (
        "The same validation images after each validation. From top to bottom: image, truth, "
        "prediction."
    )
    picture = f'<img class="film" alt="Prediction film" src="{data_address("image/gif", gif)}">'
    return section("Prediction film", note, picture + legend(run.card))


def legend(card: Card | None) -> str:
    """A chip and a name for each class; without a card the colors stay unexplained."""
    if card is None:
        return ""
    pairs = zip(card.labels.names, card.labels.colors, strict=True)
    chips = "".join(f"<li>{_chip(color)}{escape(name)}</li>" for name, color in pairs)
    return f'<ul class="legend">{chips}<li>{_chip((0, 0, 0))}ignored</li></ul>'


def _chip(color: tuple[int, int, int]) -> str:
    red, green, blue = color
    return f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>'


def class_section(run: Run, scores: Scores) -> str:
    """A bar a class, the best first."""
    colors = (
        dict(zip(run.card.labels.names, run.card.labels.colors, strict=True)) if run.card else {}
    )
    ranked = sorted(
        scores.classes.items(), key=lambda one: -1.0 if one[1].iou is None else -one[1].iou
    )
    ranked.sort(key=lambda one: one[1].iou is None)
    rows = "".join(
        f"<span>{_chip(colors[name]) if name in colors else ''}{escape(name)}</span>"
        f'<i><u style="width:{100 * (one.iou or 0):.2f}%"></u></i>'
        f"<span>{percent(one.iou)} <small>accuracy {percent(one.accuracy)}</small></span>"
        for name, one in ranked
    )
    note = (
        f"On {len(scores.images)} images of {escape(scores.split)}. A class that is neither in the "
        "labels nor predicted has no IoU (-) and is left out of the mean; one that is predicted "
        "but not in the labels has IoU 0 and counts."
    )
    return section("IoU by class", note, f'<div class="bars">{rows}</div>')


def confusion_section(scores: Scores) -> str:
    """The confusion matrix, each row as shares of its true class."""
    if not scores.confusion:
        return ""
    names = [escape(name) for name in scores.classes]
    head = "".join(f"<th><span>{name}</span></th>" for name in names)
    rows = "".join(
        f"<tr><th>{name}</th>{_confusion_cells(name, names, counts)}</tr>"
        for name, counts in zip(names, scores.confusion, strict=True)
    )
    table = f'<table class="confusion"><thead><tr><th></th>{head}</tr></thead>{rows}</table>'
    note = "Each row: where the pixels of a true class went, in percent. On the diagonal: right."
    return section("Confusion", note, f'<div class="wide">{table}</div>')


def _confusion_cells(row_name: str, names: list[str], counts: Iterable[int]) -> str:
    whole = list(counts)
    total = sum(whole)
    cells = []
    for name, count in zip(names, whole, strict=True):
        share = 100 * count / total if total else 0.0
        text = f"{share:.0f}" if share >= 0.5 else ""
        shade = f"color-mix(in srgb, var(--accent) {share:.0f}%, transparent)"
        title = f"{row_name} seen as {name}: {share:.2f} % ({count:,} pixels)"
        cells.append(f'<td title="{title}" style="background:{shade}">{text}</td>')
    return "".join(cells)


def example_section(run: Run, kind: str, title: str) -> str:
    """The images with the highest or lowest mIoU: image, truth, prediction."""
    chosen = [example for example in run.examples if example.kind == kind]
    if not chosen:
        return ""
    figures = "".join(_figure(example) for example in chosen)
    note = "Image, truth, prediction; the mIoU is over the classes in that image."
    return section(title, note, f'<div class="examples">{figures}</div>' + legend(run.card))


def _figure(example: Example) -> str:
    name = escape(example.name)
    pictures = (
        (photo_address(example.image), f"{name}, the image"),
        (mask_address(example.truth), f"{name}, the truth"),
        (mask_address(example.prediction), f"{name}, the prediction"),
    )
    images = "".join(f'<img src="{address}" alt="{alt}">' for address, alt in pictures)
    score = f": mIoU {percent(example.miou)}" if example.miou is not None else ""
    return f"<figure><figcaption>{name}{score}</figcaption><div>{images}</div></figure>"


def _listed(value: object) -> object:
    """A list, or values by class, as people write them."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def recipe_section(run: Run) -> str:
    """What was trained and how: the card's facts, and the recipe as it was resolved."""
    facts = ""
    if run.card is not None:
        card = run.card
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
        facts = f"<dl>{''.join(rows)}</dl>"
    recipe = ""
    if run.recipe is not None:
        text = escape(run.recipe)
        recipe = f"<details><summary>recipe.yaml, as resolved</summary><pre>{text}</pre></details>"
    if not facts and not recipe:
        return ""
    return section("Recipe", "What was trained, and how.", facts + recipe)

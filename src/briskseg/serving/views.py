"""What labels are answered as: a PNG of classes, of colors, of an overlay, or runs in JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from pydantic_core import to_json
from starlette.datastructures import QueryParams

from briskseg.core.errors import BriskError, nearest
from briskseg.core.files.safe_names import printable
from briskseg.core.images import pixel_runs, png_bytes
from briskseg.core.overlay import overlay, with_legend
from briskseg.core.types import Image
from briskseg.serving.engine import Engine, Stopwatch
from briskseg.serving.refusals import Refused

PNG, JSON, ZIP = "image/png", "application/json", "application/zip"
BINARY = "application/octet-stream"

# `?as=NAME`, and what an image's answer is then.
VIEWS = {"labels": PNG, "color": PNG, "overlay": PNG, "runs": JSON}

MAX_RUNS = 1 << 22  # in one answer; more of them are larger than the PNG


def chosen_view(query: QueryParams, accept: str, types: Mapping[str, str]) -> str:
    """The view that a request asks for by its query, or else by its header Accept.

    types: the media type of each view; of several with one type the first stands for it, and where
    anything is accepted the first of all. Raises Refused.
    """
    for key in query:
        if key != "as":
            raise Refused(
                400, f"unknown parameter '{printable(key[:100])}'; {nearest(key, ['as'])}"
            )
    view = query.get("as")
    if view is not None and view not in types:
        raise Refused(
            400, f"as={printable(view[:100])} is no kind of answer; {nearest(view, types)}"
        )
    offers: dict[str, str] = {}
    for name in [view] if view else types:
        offers.setdefault(types[name], name)
    found = _best(accept, offers)
    if found is None:
        raise Refused(
            406,
            f"Accept: {printable(accept[:100])} takes none of {', '.join(offers)}; name one of "
            "them, or leave the header out",
        )
    return offers[found]


def _best(accept: str, offers: Collection[str]) -> str | None:
    """The offer that a header Accept likes best, the first of equals; None where it takes none."""
    if not accept.strip():
        return next(iter(offers))
    likings = {offer: _liking(offer, accept.lower()) for offer in offers}
    best = max(likings.values())
    return next(offer for offer in offers if likings[offer] == best) if best > 0 else None


def _liking(offer: str, accept: str) -> float:
    """By the entry of the header that is closest to the offer, its `q`; 0 where none takes it."""
    found = {}
    for entry in accept.split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        values = dict(parameter.partition("=")[::2] for parameter in parameters)
        with suppress(ValueError):
            found[kind] = float(values.get("q", 1))
    kinds = (offer, f"{offer.partition('/')[0]}/*", "*/*")
    return next((found[kind] for kind in kinds if kind in found), 0.0)


def picture(engine: Engine, watch: Stopwatch, image_hwc: Image, view: str) -> bytes:
    """The PNG file of an image's labels, as `view` says; of the image's size, but for the legend
    below an overlay."""
    labels_hw = engine.labels(image_hwc)
    if view == "color":
        shown = engine.label_set.colorize(labels_hw)
    elif view == "overlay":
        over = overlay(image_hwc, labels_hw, engine.label_set)
        shown = with_legend(over, engine.label_set, np.unique(labels_hw))
    else:
        shown = labels_hw
    try:
        content = png_bytes(shown, "the answer")
    except BriskError as error:  # PNG has its own bounds
        raise Refused(413, str(error), "pixels") from None
    watch.end_stage("write")
    return content


def runs(
    engine: Engine, watch: Stopwatch, image_hwc: Image, most: int = MAX_RUNS
) -> dict[str, Any]:
    """The labels of an image as runs of equal ones, row by row from the top left. most: how many
    may be left of the answer's. Raises Refused (413) for more."""
    labels_hw = engine.labels(image_hwc)
    values, lengths = pixel_runs(labels_hw)
    if len(values) > most:
        raise Refused(
            413,
            f"the labels are more than the {MAX_RUNS} runs of one answer; ask for {PNG}, which is "
            "smaller",
            "runs",
        )
    height, width = labels_hw.shape
    found = {
        "height": height,
        "width": width,
        "classes": list(engine.label_set.names),
        "labels": values.tolist(),
        "lengths": lengths.tolist(),
    }
    watch.end_stage("write")
    return found


def json_bytes(value: Any) -> bytes:
    """A value as JSON."""
    return to_json(value, inf_nan_mode="null")

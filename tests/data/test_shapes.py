"""Shapes become the pixels whose centers they hold, as other rasterisers see it."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from briskseg.data import shapes
from briskseg.data.shapes import Patch, ShapeError

SIZE = (90, 120)
FINE = 8  # times as many pixels a side, for what a shape covers of a pixel


def whole(patch: Patch, size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    return shapes.paint(size_hw, 0, [(1, patch)]).astype(bool)


def stars(count: int, corners: int = 9) -> list[np.ndarray]:
    """Outlines about a center, some of them beyond the image's borders."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(count):
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        around = np.c_[np.cos(angles), np.sin(angles)] * rng.uniform(8, 45, (corners, 1))
        found.append(rng.uniform((20, 20), (100, 70)) + around)
    return found


def border(mask: np.ndarray) -> np.ndarray:
    """The pixels that touch one of the other kind."""
    kernel = np.ones((3, 3), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel) != cv2.erode(mask.astype(np.uint8), kernel)


def by_pillow(draw: str, points: np.ndarray, **how: object) -> np.ndarray:
    """Whether Pillow's drawing, eight times as large, covers most of a pixel."""
    image = Image.new("L", (SIZE[1] * FINE, SIZE[0] * FINE))
    # In Pillow whole numbers are the centers of pixels.
    corners = [tuple(point) for point in points * FINE - 0.5]
    getattr(ImageDraw.Draw(image), draw)(corners, fill=1, **how)
    cells = np.asarray(image).reshape(SIZE[0], FINE, SIZE[1], FINE)
    return cells.mean(axis=(1, 3)) > 0.5


def test_a_polygon_holds_the_pixels_whose_centers_are_in_it() -> None:
    path = pytest.importorskip("matplotlib.path")
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    centers = np.c_[columns.ravel(), rows.ravel()]
    for outline in stars(60):
        inside = path.Path([*outline, outline[0]], closed=True).contains_points(centers)
        assert np.array_equal(whole(shapes.polygon([outline], SIZE)), inside.reshape(SIZE))


def test_a_polygon_differs_from_pillows_at_its_border_only() -> None:
    for outline in stars(20):
        ours, pillows = whole(shapes.polygon([outline], SIZE)), by_pillow("polygon", outline)
        differ = ours != pillows
        assert not (differ & ~border(pillows) & ~border(ours)).any()
        assert differ.sum() < 0.35 * border(pillows).sum()


def test_shapes_that_share_an_outline_leave_no_gap_and_do_not_overlap() -> None:
    half = np.array([[0, 0], [60.5, 0], [40.5, 90], [0, 90]])
    other = np.array([[60.5, 0], [120, 0], [120, 90], [40.5, 90]])
    both = [whole(shapes.polygon([ring], SIZE)).astype(int) for ring in (half, other)]
    assert (both[0] + both[1] == 1).all()


def test_half_a_pixel_decides() -> None:
    assert whole(shapes.box((2, 2), (5, 4), SIZE)).sum() == 6
    assert whole(shapes.box((2.4, 2.4), (5.4, 4.4), SIZE)).sum() == 6
    assert np.argwhere(whole(shapes.box((2.6, 2.6), (3.6, 3.6), SIZE))).tolist() == [[3, 3]]
    assert np.argwhere(whole(shapes.box((2.5, 2.5), (3.5, 3.5), SIZE))).tolist() == [[2, 2]]


def test_a_ring_in_a_ring_is_a_hole() -> None:
    outer, inner = shapes.box_ring((10, 10), (30, 30)), shapes.box_ring((15, 15), (25, 20))
    mask = whole(shapes.polygon([outer, inner], SIZE))
    assert mask.sum() == 400 - 50
    assert not mask[15:20, 15:25].any()


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0])
def test_an_ellipse_and_a_turned_box(degrees: float) -> None:
    circle = np.linspace(0, 2 * np.pi, 720)
    outline = np.c_[60 + 40 * np.cos(circle), 45 + 15 * np.sin(circle)]
    as_polygon = whole(shapes.polygon([shapes.rotated(outline, (60, 45), degrees)], SIZE))
    ours = whole(shapes.ellipse((60, 45), (40, 15), SIZE, degrees))
    assert (ours != as_polygon).sum() <= 4  # of 1885
    turned = shapes.rotated(np.array([[60.0, 45.0], [61.0, 45.0]]), (60, 45), 90)
    assert np.allclose(turned, [[60, 45], [60, 46]])  # clockwise, as a picture is seen


def test_a_line_is_as_wide_as_stated() -> None:
    points = np.array([[10.0, 20.0], [100.0, 20.0]])
    mask = whole(shapes.stroke(points, 10, SIZE))
    assert np.array_equal(mask, whole(shapes.box((10, 15), (100, 25), SIZE)))
    bent = np.array([[15.0, 70.0], [60.0, 20.0], [100.0, 70.0]])
    ours, pillows = (
        whole(shapes.stroke(bent, 10, SIZE)),
        by_pillow("line", bent, width=10 * FINE, joint="curve"),
    )
    assert not ((ours != pillows) & ~border(pillows)).any()


def test_coco_polygons_are_pycocotools_own() -> None:
    from pycocotools import mask as coco_mask

    tenths = [np.round(star, 1) for star in stars(60)]  # 5 to a pixel: rounded half up
    across = [star + np.round(star.min(axis=0) - 40) for star in tenths]
    outlines = [*stars(60), *(np.round(star) for star in stars(20)), *tenths, *across]
    for outline in outlines:
        encoded = coco_mask.frPyObjects([outline.ravel().tolist()], *SIZE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of pycocotools with numpy 2
            reference = coco_mask.decode(encoded)[..., 0].astype(bool)
        assert np.array_equal(whole(shapes.coco_polygon([outline], SIZE)), reference)
        ours = whole(shapes.polygon([outline], SIZE))
        assert not ((ours != reference) & ~border(reference)).any()


def test_compressed_run_lengths_are_pycocotools_own() -> None:
    from pycocotools import mask as coco_mask

    rng = np.random.default_rng(2)
    for share in (0.0, 0.02, 0.5, 1.0):
        mask = rng.random(SIZE) < share
        encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        counts = shapes.coco_counts(encoded["counts"])
        assert np.array_equal(shapes.runs(counts, SIZE, by_column=True), mask)
    for text in (b"\xff", b"o", b"oooooooooooooooooooo0", b"PPYo"):
        with pytest.raises(ShapeError, match="run lengths"):
            shapes.runs(shapes.coco_counts(text), SIZE, by_column=True)
    for counts in ([], [5], [-1, SIZE[0] * SIZE[1] + 1]):
        with pytest.raises(ShapeError, match="run lengths"):
            shapes.runs(counts, SIZE, by_column=True)


def test_pixel_polygons_include_their_outlines() -> None:
    exterior = np.array([[10, 10], [20, 10], [20, 20], [10, 20]], float)
    hole = np.array([[13, 13], [16, 13], [16, 16], [13, 16]], float)
    mask = whole(shapes.pixel_polygon(exterior, [hole], SIZE))
    assert mask.sum() == 11 * 11 - 4 * 4
    cut = whole(shapes.pixel_polygon(exterior - 15, [], SIZE))
    assert np.argwhere(cut).max() == 5
    assert cut.sum() == 36


def test_what_lies_outside_the_image_is_cut_off() -> None:
    outline = np.array([[-1e5, -1e5], [1e5, -1e5], [1e5, 1e5], [-1e5, 1e5]])
    for draw in (shapes.polygon, shapes.coco_polygon):
        assert whole(draw([outline], SIZE)).all()
        assert not whole(draw([outline + 3e5], SIZE)).any()
    corner = shapes.bitmap(np.ones((4, 4), bool), (-2, -1), SIZE)
    assert np.argwhere(whole(corner)).tolist() == [[y, x] for y in range(3) for x in range(2)]
    assert not whole(shapes.bitmap(np.ones((4, 4), bool), (500, 0), SIZE)).any()


@pytest.mark.parametrize("kind", ["polygon", "rectangle", "circle", "line"])
def test_labelmes_own_masks_differ_at_their_borders_only(kind: str) -> None:
    """Pillow draws the outline too, so labelme's masks reach half a pixel further."""
    shape_to_mask = pytest.importorskip("labelme.utils").shape_to_mask
    for outline in stars(30, 8):
        points = outline if kind == "polygon" else outline[[0, 4]]
        radius = float(np.hypot(*(points[1] - points[0])))
        ours = whole(
            {
                "polygon": lambda points=points: shapes.polygon([points], SIZE),
                "rectangle": lambda points=points: shapes.box(*points, SIZE),
                "circle": lambda points=points, r=radius: shapes.ellipse(points[0], (r, r), SIZE),
                "line": lambda points=points: shapes.stroke(points, shapes.LINE_WIDTH, SIZE),
            }[kind]()
        )
        labelmes = shape_to_mask(SIZE, points.tolist(), kind)
        assert not ((ours != labelmes) & ~border(labelmes) & ~border(ours)).any()

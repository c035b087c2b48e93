"""The layouts of one's own data, as labeling tools and training frameworks write them."""

from __future__ import annotations

from briskseg.data.masks.class_files import kaggle_classes, own_classes, voc_classes
from briskseg.data.masks.layout import Layout
from briskseg.data.masks.segments import segments_ai_classes

IMAGES = "(images|imgs|img|image|JPEGImages)"
LABELS = "(labels|masks|annotations|SegmentationClass|label|mask|annots|gt)"
_LISTS = tuple(
    f"{folder}{{split}}{ending}"
    for folder in ("", "splits/", "lists/", "ImageSets/", "ImageSets/Segmentation/")
    for ending in (".txt", ".lst", "_list.txt")
)

# In the order of asking: the particular before the general.
LAYOUTS: tuple[Layout, ...] = (
    Layout(
        name="segments-ai",
        images="{name}",
        labels="{name}_label_ground-truth",
        beside=("{name}_label_ground-truth_{rest}",),
        needs=("*_label_ground-truth.png", "*.json"),
        classes=segments_ai_classes,
        classes_of="the release's JSON",
        text="NAME.jpg with NAME_label_ground-truth.png and the release's JSON (Segments.ai)",
    ),
    Layout(
        name="roboflow",
        images="{split}/{name}",
        labels="{split}/{name}_mask",
        needs=("train/*_mask.png|valid/*_mask.png|test/*_mask.png|val/*_mask.png",),
        classes=own_classes,
        text="SPLIT/NAME.jpg with SPLIT/NAME_mask.png and SPLIT/_classes.csv (Roboflow)",
    ),
    Layout(
        name="voc",
        images="JPEGImages/{name}",
        labels="(SegmentationClass|SegmentationClassPNG)/{name}",
        lists=("ImageSets/Segmentation/{split}.txt", *_LISTS),
        beside=(
            "(SegmentationObject|SegmentationObjectPNG)/{name}",
            "(SegmentationClassVisualization|SegmentationObjectVisualization)/{name}",
        ),
        classes=voc_classes,
        text=(
            "JPEGImages/NAME.jpg with SegmentationClass/NAME.png, ImageSets/Segmentation/SPLIT.txt"
            " and labelmap.txt or classes.txt (Pascal VOC, CVAT's segmentation mask 1.1)"
        ),
    ),
    Layout(
        name="mmsegmentation",
        images="img_dir/[{split}/]{name}",
        labels="ann_dir/[{split}/]{name}",
        lists=_LISTS,
        classes=own_classes,
        text="img_dir/SPLIT/NAME.jpg with ann_dir/SPLIT/NAME.png and classes.txt (MMSegmentation)",
    ),
    Layout(
        name="fastai",
        images="images/{name}",
        labels="labels/{name}_P",
        lists=("{split}.txt",),
        needs=("codes.txt",),
        classes=own_classes,
        text="images/NAME.png with labels/NAME_P.png, codes.txt and valid.txt (fast.ai)",
    ),
    Layout(
        name="camvid-kaggle",
        images="{split}/{name}",
        labels="{split}_labels/{name}[_L]",
        needs=("train_labels/*_L.png",),
        classes=kaggle_classes,
        text="train/NAME.png with train_labels/NAME_L.png and class_dict.csv (Kaggle's CamVid)",
    ),
    Layout(
        name="split-first",
        images=f"{{split}}/{IMAGES}/{{name}}",
        labels=f"{{split}}/{LABELS}/{{name}}",
        classes=own_classes,
        text="SPLIT/images/NAME.jpg with SPLIT/masks/NAME.png (or labels, annotations, gt)",
    ),
    Layout(
        name="split-folders",
        images="{split}[_(images|imgs|image)]/{name}",
        labels="{split}(_labels|_masks|_annotations|_label|_mask|_gt|annot)/{name}",
        classes=own_classes,
        text="SPLIT/NAME.jpg with SPLIT_masks/NAME.png (or SPLIT_images; or _labels, _gt, annot)",
    ),
)

# As `data draw` and `check --fix` write it.
FOLDER = Layout(
    name="folder",
    images=f"{IMAGES}/[{{split}}/]{{name}}",
    labels=f"{LABELS}/[{{split}}/]{{name}}",
    lists=_LISTS,
    classes=own_classes,
    text=(
        "images/SPLIT/NAME.ext with labels/SPLIT/NAME.png and classes.txt; SPLIT train, val, test;"
        " without SPLIT divided by train.txt and val.txt, or 80 to 20 by a seed"
    ),
)


STREETS = FOLDER._replace(
    name="streets",
    needs=("streets.json",),
    classes_of="drawn streets",
    class_set="camvid11",
    text="streets.json beside the folder layout: drawn by `briskseg data draw`",
)

"""A run that trains a network to segment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from briskseg.recipe.parts import (
    Count,
    LengthPart,
    Listed,
    NetworkPart,
    NotNegative,
    Part,
    Positive,
    PositiveTriple,
    Range,
    RunName,
    Seed,
    Share,
    ShareRange,
    SpreadRange,
    Triple,
    check_order,
)

Side = Annotated[int, Field(ge=1, le=16384)]
Size = Listed[tuple[Side, Side]]
ClassWeights = Literal["none", "enet", "median_frequency"] | Listed[tuple[NotNegative, ...]]


class ModelPart(NetworkPart):
    """The network that segments, and what it begins with."""

    # trained: a run folder, its file or a shipped name; heads begin anew where classes differ
    weights: str | None = None
    # pretrained: a run folder, its file, the official checkpoint, or efficientnet-lite0
    encoder: str | None = None

    @model_validator(mode="after")
    def _begins_with_one(self) -> ModelPart:
        if self.weights is not None and self.encoder is not None:
            raise ValueError(
                "weights and encoder are both given, and weights hold an encoder; leave encoder "
                "out (in a shell --set model.encoder=null)"
            )
        return self


class DataPart(Part):
    """Which images, and how they are brought to the size and range that the network sees."""

    root: str | None = None  # a folder, or `streets`; `train --data` names it from outside
    classes: str | None = None  # a class set where the data has several, as camvid11 or camvid32
    # what a pixel in no shape is, where the labels are shapes (COCO, labelme ...) and not masks
    unlabeled: Literal["background", "ignored"] = "background"
    size: Size | None = None  # (height, width) images are resized to; null leaves them as they are
    mean: Triple = (0.485, 0.456, 0.406)  # RGB, in units of [0, 1]; the default is ImageNet's
    std: PositiveTriple = (0.229, 0.224, 0.225)
    cache_gb: NotNegative = 4.0  # decoded images, train and val together, are kept in memory
    # keep the whole set in the GPU's memory and augment samples there; null: on CUDA, where it fits
    gpu_cache: bool | None = None
    split_seed: Seed = 0  # splits data that come without splits
    # what is trained on; [train, val] for weights to ship, once everything is chosen: val then
    # chooses and scores nothing, and the last weights are kept
    train_splits: Annotated[Listed[tuple[str, ...]], Field(min_length=1)] = ("train",)
    # a folder of images without labels, trained on besides: training.teacher says what is in them
    unlabeled_images: str | None = None


class Factor(Part):
    """A factor drawn from a normal distribution about 1, clipped."""

    sd: NotNegative
    min: NotNegative
    max: NotNegative

    @model_validator(mode="after")
    def _is_ordered(self) -> Factor:
        check_order((self.min, self.max))
        return self


class ProgressiveResizePart(Part):
    """Samples that grow: `factors[i]` of their size until `until[i]` of the run's epochs, then all
    of it. The view stays the same, so small ones cost less and show larger shapes first."""

    factors: Listed[tuple[Annotated[float, Field(gt=0, lt=1)], ...]]
    until: Listed[tuple[Annotated[float, Field(gt=0, le=1)], ...]]

    @model_validator(mode="after")
    def _steps_fit(self) -> ProgressiveResizePart:
        if len(self.factors) != len(self.until) or list(self.until) != sorted(set(self.until)):
            raise ValueError(
                "progressive_resize needs rising shares in until and one factor for each, found "
                f"factors {list(self.factors)} and until {list(self.until)}"
            )
        return self

    def factor(self, epoch: int, epochs: int) -> float:
        """The factor of a sample's sides in this of so many epochs."""
        for factor, until in zip(self.factors, self.until, strict=True):
            if epoch < until * epochs:
                return factor
        return 1.0

    def work(self, share: float) -> float:
        """Pixels seen in this share of the run's epochs, of those that whole samples would have."""
        pixels, since = 0.0, 0.0
        for factor, until in zip(self.factors, self.until, strict=True):
            pixels += factor**2 * max(0.0, min(share, until) - since)
            since = until
        return pixels + max(0.0, share - since)


class AugmentPart(Part):
    """How training samples vary; the defaults change nothing.

    Scale, crop, rotation, translation and flip become one warp; brightness, contrast, saturation
    and hue one color pass. A range is [least, most], drawn evenly.
    """

    size: Size | None = None  # (height, width) of a sample, cut from the scaled image; data.size
    # samples are smaller at first; null: whole from the start on
    progressive_resize: ProgressiveResizePart | None = None
    scale: Range = (1.0, 1.0)  # the image's size, as a factor of data.size
    crop: ShareRange = (1.0, 1.0)  # share of each side that is kept and resized back to the sample
    # a sample with a class above this share of its labeled pixels is cropped elsewhere, 10 times
    cat_max_ratio: Share = 1.0
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, to either side at most
    translate: NotNegative = 0.0  # pixels, whole ones, along each axis at most
    flip: Share = 0.0  # probability of a left-right flip
    brightness: Factor | SpreadRange = (1.0, 1.0)  # factor
    contrast: Factor | SpreadRange = (1.0, 1.0)  # factor, about the sample's mean gray
    saturation: Factor | SpreadRange = (1.0, 1.0)  # factor; 0 is gray
    hue: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, to either side at most
    photometric: Share = 0.0  # probability of each change of SSD's photometric distortion
    blur: NotNegative = 0.0  # standard deviation in pixels, at most
    noise: NotNegative = 0.0  # standard deviation in gray levels, at most
    shadow: Share = 0.0  # probability of cast shadows, in several patterns and intensities


class OhemPart(Part):
    """Hard-pixel mining: only pixels whose true class has less than `threshold` probability count,
    but at least `least` (the hardest)."""

    # whose form, as in `briskseg.training.losses.ohem`
    rule: Literal["bisenet", "pidnet", "mmsegmentation", "paddle"] = "bisenet"
    threshold: Share = 0.7
    least: NotNegative = 0.0625  # up to 1 a share of the labeled pixels, above 1 a number of pixels
    auxiliary: bool = False  # on the auxiliary outputs too

    @model_validator(mode="after")
    def _least_fits(self) -> OhemPart:
        if self.rule != "bisenet" and self.least <= 1:
            raise ValueError(
                f"ohem by the rule {self.rule} counts pixels: give a number above 1 for least, as "
                f"131072, found {self.least}"
            )
        return self


class LossPart(Part):
    """Weighted cross entropy, on the network's logits and on its auxiliary outputs."""

    kind: Literal["cross_entropy", "sigmoid"] = "cross_entropy"  # sigmoid: each class on its own
    class_weights: ClassWeights = "none"
    # the sum is divided by the labeled pixels' weights, as torch does, or by the number of all
    # pixels, ignored ones included, as MMSegmentation does
    mean: Literal["weights", "pixels"] = "weights"
    auxiliary: NotNegative = 0.4  # weight of each auxiliary output's loss; 0 leaves them out
    # where a smaller output meets the labels: at its own size (labels are sampled) or at theirs
    size: Literal["own", "full"] = "own"
    ohem: OhemPart | None = None
    # weights of further losses of the logits, which count overlap and not pixels
    dice: NotNegative = 0.0
    lovasz: NotNegative = 0.0

    @model_validator(mode="after")
    def _ohem_fits(self) -> LossPart:
        if self.ohem is not None and (self.kind, self.mean) != ("cross_entropy", "weights"):
            raise ValueError(
                f"ohem goes with kind: cross_entropy and mean: weights, found kind: {self.kind} "
                f"and mean: {self.mean}"
            )
        return self


class StagePart(Part):
    """One of several trainings in a row: it begins with the weights that the one before ended with,
    and with a fresh optimizer and schedule."""

    output: Literal["encoder", "logits"]  # encoder: its own head alone, while the decoder rests
    class_weights: ClassWeights = "none"


# Parts for which one of their keys may stand alone, as in `teacher: FILE`.
SHORT_FORMS = {"teacher": "file"}


class TeacherPart(Part):
    """A trained network that is learned from besides the labels (knowledge distillation)."""

    # a run, weights or a shipped name; or an .onnx file, ours or any that gives logits or labels
    file: str
    weight: Positive = 0.5  # of what is learned from it, beside training.loss
    temperature: Positive = 1.0  # above 1, the classes that it does not choose say more

    @model_validator(mode="before")
    @classmethod
    def _file_alone(cls, value: Any) -> Any:
        """A file alone stands for it with the usual weight and temperature."""
        return {"file": value} if isinstance(value, str) else value


class TrainingPart(LengthPart):
    """What is minimized, and what is kept. With `stages`, each is `epochs` or `steps` long."""

    loss: LossPart = LossPart()
    teacher: TeacherPart | None = None
    # class-balanced sampling: this share of an epoch's samples is drawn by class, first one of the
    # classes, each as likely, then one of the images that hold it
    class_balanced: Share = 0.0
    stages: Listed[tuple[StagePart, ...]] = ()  # none: all outputs are trained at once
    compile: bool | None = None  # the network by torch.compile; null: on CUDA, where that works
    batch_norm_momentum: Share | None = None  # a batch's share in the statistics; null: torch's 0.1
    # the parts, as [encoder], whose batch norms keep the statistics that they begin with
    frozen_batch_norm: Listed[tuple[str, ...]] = ()
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None  # decay of the weights' moving average
    # after the last step the classes' biases are fitted to the mIoU on train, without augmentation
    logit_adjustment: bool = False
    stop_after: Count | None = None  # validations without a new best
    snapshots: bool = False  # keep the weights of every epoch

    @model_validator(mode="after")
    def _stages_fit(self) -> TrainingPart:
        if not self.stages:
            return self
        if self.stages[-1].output != "logits":
            raise ValueError("stages: the last one must have output: logits, which predictions are")
        if self.loss.class_weights != "none":
            raise ValueError("loss.class_weights: give each of the stages its own instead")
        if self.stop_after is not None:
            raise ValueError("stop_after: stages have a fixed length; leave it out")
        return self


class Recipe(Part):
    """One complete run that trains a network to segment."""

    name: RunName = "run"
    note: str = ""  # where the recipe comes from and what it scored
    task: Literal["segmentation"] = "segmentation"
    model: ModelPart
    data: DataPart = DataPart()
    augment: AugmentPart = AugmentPart()
    training: TrainingPart

    @model_validator(mode="after")
    def _images_without_labels_have_a_teacher(self) -> Recipe:
        if self.data.unlabeled_images is not None and self.training.teacher is None:
            raise ValueError(
                "data.unlabeled_images teach nothing by themselves; name a trained network to "
                "learn from in training.teacher"
            )
        if self.data.unlabeled_images is not None and self.training.class_balanced == 1:
            raise ValueError(
                "training.class_balanced=1 draws every sample by its classes, and so none of "
                "data.unlabeled_images; give less than 1"
            )
        return self

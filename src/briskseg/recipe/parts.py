"""The parts of a recipe: frozen pydantic models; their defaults are written here alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Size = tuple[Annotated[int, Field(ge=1, le=16384)], Annotated[int, Field(ge=1, le=16384)]]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Triple = tuple[float, float, float]
PositiveTriple = tuple[Positive, Positive, Positive]
ClassWeights = Literal["none", "enet", "median_frequency"] | tuple[NotNegative, ...]


def _as_folder_name(name: str) -> str:
    """A run's folder is runs/NAME, which must not lead anywhere else."""
    strange = {"/", "\\"} & set(name) or name in {"", ".", ".."} or len(name.encode()) > 200
    if strange or not name.isprintable():
        raise ValueError("expected the name of one folder, in plain characters, without / or \\")
    return name


RunName = Annotated[str, AfterValidator(_as_folder_name)]


class Part(BaseModel):
    """Base of every part: unknown keys fail, values cannot be changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def to_yaml(self) -> str:
        """Every key with its value, in the order of the class."""
        text: str = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        return text


class NetworkPart(Part):
    """Which network; `options` are its own keyword arguments (dropout, ...)."""

    name: str
    options: dict[str, bool | int | float | str] = {}


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
                "weights and encoder are both given, and weights hold an encoder; say one of them"
            )
        return self


class DataPart(Part):
    """Which images, and how they are brought to the size and range that the network sees."""

    root: str | None = None  # a folder, or `streets`; `train --data` names it from outside
    classes: str | None = None  # a class set where the data has several, as camvid11 or camvid32
    size: Size | None = None  # (height, width) images are resized to; null leaves them as they are
    mean: Triple = (0.485, 0.456, 0.406)  # RGB, in units of [0, 1]; the default is ImageNet's
    std: PositiveTriple = (0.229, 0.224, 0.225)
    cache_gb: NotNegative = 4.0  # decoded images are kept in memory while they fit in this
    # keep the whole set in the device's memory and vary samples there; null: on CUDA, where it fits
    resident: bool | None = None
    split_seed: int = 0  # splits data that come without splits
    # what is trained on; [train, val] for weights to ship, once everything is chosen: val then
    # chooses and scores nothing, and the last weights are kept
    train_splits: Annotated[tuple[str, ...], Field(min_length=1)] = ("train",)


def _as_range(value: Any) -> Any:
    """`x` stands for the range [x, x], so that a fixed value needs no brackets."""
    return (value, value) if isinstance(value, int | float) else value


class Factor(Part):
    """A factor drawn from a normal distribution about 1, clipped."""

    sd: NotNegative
    min: NotNegative
    max: NotNegative


Range = Annotated[tuple[Positive, Positive], BeforeValidator(_as_range)]
SpreadRange = Annotated[tuple[NotNegative, NotNegative], BeforeValidator(_as_range)]


class GrowthPart(Part):
    """Samples that grow: `factors[i]` of their size until `until[i]` of the run's epochs, then all
    of it. The view stays the same, so small ones cost less and show larger shapes first."""

    factors: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    until: tuple[Annotated[float, Field(gt=0, le=1)], ...]

    @model_validator(mode="after")
    def _steps_fit(self) -> GrowthPart:
        if len(self.factors) != len(self.until) or list(self.until) != sorted(set(self.until)):
            raise ValueError(
                "growth needs rising shares in until and one factor for each, found "
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
    growth: GrowthPart | None = None  # samples are smaller at first; null: whole from the start on
    scale: Range = (1.0, 1.0)  # the image's size, as a factor of data.size
    crop: Range = (1.0, 1.0)  # share of each side that is kept and resized back to the sample
    class_max: Share = 1.0  # a sample with a class above this share is cut elsewhere, 10 times
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

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> AugmentPart:
        for name in ("scale", "crop", "brightness", "contrast", "saturation"):
            value = getattr(self, name)
            low, high = (value.min, value.max) if isinstance(value, Factor) else value
            if low > high:
                raise ValueError(f"{name}: the least ({low}) is above the most ({high})")
        if self.crop[1] > 1:
            raise ValueError(f"crop: {self.crop[1]} is above 1; it is the share of a side kept")
        return self


class OptimizerPart(Part):
    """Adam and AdamW use `betas` and `eps`; SGD uses `momentum`."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Positive = 1e-3
    encoder_lr_factor: Positive = 1.0  # the encoder's share of lr, where it is pretrained
    weight_decay: NotNegative = 0.01
    # which parameters do not decay; null: with adamw biases and batch norms, otherwise none
    no_decay: tuple[Literal["bias", "norm", "depthwise"], ...] | None = None
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-8
    momentum: Share = 0.9


class SchedulePart(Part):
    """The learning rate over the run (over each stage of it), as a factor of `optimizer.lr`.

    poly: from 1 to `least` as (1 - progress) ** power. step: `factors[i]` from `milestones[i]`
    (epochs, or steps where `by` is step) on. exponential: from the one milestone on, times the one
    factor each epoch (or step). constant: 1. `warmup` steps rise evenly before.
    """

    name: Literal["poly", "step", "exponential", "constant"] = "poly"
    by: Literal["step", "epoch"] = "step"
    power: Positive = 0.9
    least: Share = 0.0
    milestones: tuple[Count, ...] = ()
    factors: tuple[Positive, ...] = ()
    warmup: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _steps_fit(self) -> SchedulePart:
        found = f"milestones {list(self.milestones)} and factors {list(self.factors)}"
        if self.name == "step" and (
            not self.milestones
            or len(self.milestones) != len(self.factors)
            or list(self.milestones) != sorted(set(self.milestones))
        ):
            raise ValueError(
                f"a step schedule needs rising milestones and one factor for each, found {found}"
            )
        if self.name == "exponential" and not len(self.milestones) == len(self.factors) == 1:
            raise ValueError(f"an exponential schedule needs one of each, found {found}")
        return self


class OhemPart(Part):
    """Hard-pixel mining: only pixels whose true class has less than `threshold` probability count,
    but at least `least` of all labeled pixels (the hardest)."""

    threshold: Share = 0.7
    least: Share = 0.0625


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


class LengthPart(Part):
    """How long a training is, in what steps, with what precision; what every kind of run has."""

    epochs: Count | None = None  # say epochs or steps, not both
    steps: Count | None = None
    batch: Count = 8  # images a step, on each device
    seed: Annotated[int, Field(ge=0)] = 0
    optimizer: OptimizerPart = OptimizerPart()
    schedule: SchedulePart = SchedulePart()
    clip: Positive | None = None  # the gradient's norm is clipped to this
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    workers: Annotated[int, Field(ge=0)] | None = None  # processes that load; null: by the cores
    validate_every: Count = 1  # epochs
    log_every: Count = 10  # steps
    save_every: Positive = 10.0  # minutes at most from one checkpoint to the next
    loggers: tuple[Literal["wandb", "mlflow"], ...] = ()  # beside CSV and TensorBoard

    @model_validator(mode="after")
    def _has_one_length(self) -> LengthPart:
        if (self.epochs is None) == (self.steps is None):
            found = "neither" if self.epochs is None else "both"
            raise ValueError(f"say epochs or steps, one of them; found {found}")
        return self


class TrainingPart(LengthPart):
    """What is minimized, and what is kept. With `stages`, each is `epochs` or `steps` long."""

    loss: LossPart = LossPart()
    stages: tuple[StagePart, ...] = ()  # none: all outputs are trained at once
    compile: bool | None = None  # the network by torch.compile; null: on CUDA, where that works
    batch_norm_momentum: Share | None = None  # a batch's share in the statistics; null: torch's 0.1
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

    def epochs_of_all(self, steps_per_epoch: int) -> int:
        """The epochs of the whole run, all stages together; the last one may be a part."""
        steps = self.steps or (self.epochs or 1) * steps_per_epoch
        return -(-max(1, len(self.stages)) * steps // steps_per_epoch)


class Recipe(Part):
    """One complete run that trains a network to segment."""

    name: RunName = "run"
    note: str = ""  # where the recipe comes from and what it scored
    task: Literal["segmentation"] = "segmentation"
    model: ModelPart
    data: DataPart = DataPart()
    augment: AugmentPart = AugmentPart()
    training: TrainingPart

"""A run, described: frozen pydantic models that read from and write to one YAML file.

A recipe is complete in itself: what it does not say has the default written here, nothing is
inherited. The data set alone says how many classes there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from briskseg.core.errors import RecipeError, nearest

Size = tuple[Annotated[int, Field(ge=1, le=16384)], Annotated[int, Field(ge=1, le=16384)]]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Triple = tuple[float, float, float]


class Part(BaseModel):
    """Base of every part: unknown keys fail, values cannot be changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelPart(Part):
    """Which network; `options` are its own keyword arguments (dropout, ...)."""

    name: str
    options: dict[str, bool | int | float | str] = {}


class DataPart(Part):
    """Which images, and how they are brought to the size and range that the network sees."""

    root: str | None = None  # a folder, or `streets`; `train --data` names it from outside
    classes: str | None = None  # a class set where the data has several, as camvid11 or camvid32
    size: Size | None = None  # (height, width) images are resized to; null leaves them as they are
    mean: Triple = (0.485, 0.456, 0.406)  # RGB, in units of [0, 1]; the default is ImageNet's
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)
    cache_gb: NotNegative = 4.0  # decoded images are kept in memory while they fit in this
    split_seed: int = 0  # splits data that come without splits


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


class AugmentPart(Part):
    """How training samples vary; the defaults change nothing.

    Scale, crop, rotation, translation and flip become one warp; brightness, contrast, saturation
    and hue one color pass. A range is [least, most], drawn evenly.
    """

    size: Size | None = None  # (height, width) of a sample, cut from the scaled image; data.size
    scale: Range = (1.0, 1.0)  # the image's size, as a factor of data.size
    crop: Range = (1.0, 1.0)  # share of each side that is kept and resized back to the sample
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, to either side at most
    translate: NotNegative = 0.0  # pixels, whole ones, along each axis at most
    flip: Share = 0.0  # probability of a left-right flip
    brightness: Factor | SpreadRange = (1.0, 1.0)  # factor
    contrast: Factor | SpreadRange = (1.0, 1.0)  # factor, about the sample's mean gray
    saturation: Factor | SpreadRange = (1.0, 1.0)  # factor; 0 is gray
    hue: Annotated[float, Field(ge=0, le=180)] = 0.0  # degrees, to either side at most
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
    weight_decay: NotNegative = 0.01
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-8
    momentum: Share = 0.9


class SchedulePart(Part):
    """The learning rate over the run, as a factor of `optimizer.lr`.

    poly: (1 - progress) ** power, not below `least`. step: `factors[i]` from `milestones[i]`
    (epochs, or steps where `by` is step) on. constant: 1. `warmup` steps rise evenly before.
    """

    name: Literal["poly", "step", "constant"] = "poly"
    by: Literal["step", "epoch"] = "step"
    power: Positive = 0.9
    least: NotNegative = 0.0
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = ()
    factors: tuple[Positive, ...] = ()
    warmup: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _steps_fit(self) -> SchedulePart:
        if self.name == "step" and (
            not self.milestones
            or len(self.milestones) != len(self.factors)
            or list(self.milestones) != sorted(set(self.milestones))
        ):
            raise ValueError(
                f"a step schedule needs rising milestones and one factor for each, found "
                f"milestones {list(self.milestones)} and factors {list(self.factors)}"
            )
        return self


class OhemPart(Part):
    """Hard-pixel mining: only pixels whose true class has less than `threshold` probability count,
    but at least `least` of all labeled pixels (the hardest)."""

    threshold: Share = 0.7
    least: Share = 0.0625


class LossPart(Part):
    """Weighted cross entropy, on the network's logits and on its auxiliary outputs."""

    class_weights: Literal["none", "enet", "median_frequency"] | tuple[NotNegative, ...] = "none"
    auxiliary: NotNegative = 0.4  # weight of each auxiliary output's loss
    ohem: OhemPart | None = None


class TrainingPart(Part):
    """How long, in what steps, with what precision, and what is kept."""

    epochs: Annotated[int, Field(ge=1)] | None = None  # say epochs or steps, not both
    steps: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=1)] = 8  # images a step, on each device
    seed: Annotated[int, Field(ge=0)] = 0
    optimizer: OptimizerPart = OptimizerPart()
    schedule: SchedulePart = SchedulePart()
    loss: LossPart = LossPart()
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None  # decay of the weights' moving average
    clip: Positive | None = None  # the gradient's norm is clipped to this
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    workers: Annotated[int, Field(ge=0)] | None = None  # processes that load; null: by the cores
    validate_every: Annotated[int, Field(ge=1)] = 1  # epochs
    stop_after: Annotated[int, Field(ge=1)] | None = None  # validations without a new best
    snapshots: bool = False  # keep the weights of every epoch
    log_every: Annotated[int, Field(ge=1)] = 10  # steps
    loggers: tuple[Literal["wandb", "mlflow"], ...] = ()  # beside CSV and TensorBoard

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainingPart:
        if (self.epochs is None) == (self.steps is None):
            found = "neither" if self.epochs is None else "both"
            raise ValueError(f"say epochs or steps, one of them; found {found}")
        return self


class Recipe(Part):
    """One complete run."""

    name: str = "run"
    note: str = ""  # where the recipe comes from and what it scored
    model: ModelPart
    data: DataPart = DataPart()
    augment: AugmentPart = AugmentPart()
    training: TrainingPart

    def to_yaml(self) -> str:
        """Every key with its value, in the order of this file."""
        text: str = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)
        return text


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    folder = resources.files("briskseg") / "recipes"
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def load_recipe(name_or_path: str, changes: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a YAML file, and apply changes as `training.epochs=50`.

    Raises:
        RecipeError: no such recipe, not YAML, an unknown key, or an impossible value.
    """
    values = _parse(recipe_text(name_or_path), name_or_path)
    values.setdefault("name", Path(name_or_path).name.removesuffix(".yaml").removesuffix(".yml"))
    for change in changes:
        _apply(values, change)
    return read_recipe(values, name_or_path)


def recipe_text(name_or_path: str) -> str:
    """A shipped recipe's YAML with its comments, or a file's; RecipeError if there is none."""
    path = Path(name_or_path)
    if name_or_path in list_recipes():
        return (resources.files("briskseg") / "recipes" / f"{name_or_path}.yaml").read_text("utf-8")
    if path.is_file():
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise RecipeError(f"{path} is not a text file; a recipe is YAML") from None
    if path.suffix in {".yaml", ".yml"}:
        raise RecipeError(f"no recipe file {path}; check the path, or see `briskseg recipes`")
    raise RecipeError(f"no recipe '{name_or_path}'; {nearest(name_or_path, list_recipes())}")


def read_recipe(values: Mapping[str, Any], source: str) -> Recipe:
    """Check values against the models; every fault is named with its key, in one message."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"recipe {source}: " + "; ".join(_faults(error))) from None


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise RecipeError(f"recipe {source}{line}: {problem}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"recipe {source} holds no keys; expected model, data, training, ...")
    return values


def _apply(values: dict[str, Any], change: str) -> None:
    """Set one key by its dotted path; the value is read as YAML."""
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {change}: expected KEY=VALUE, as in training.epochs=50")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RecipeError(f"--set {change}: the value is not YAML") from None
    *parents, last = key.split(".")
    inner = values
    for parent in parents:
        child = inner.get(parent)
        if not isinstance(child, dict):
            child = inner[parent] = {}
        inner = child
    inner[last] = value
    # epochs and steps exclude each other: naming one from outside takes the other's place
    if key in ("training.epochs", "training.steps") and value is not None:
        inner.pop("steps" if last == "epochs" else "epochs", None)


def _faults(error: ValidationError) -> Iterator[str]:
    """Each fault once, with its key; a union's member names do not belong to the key."""
    seen: set[str] = set()
    for fault in error.errors():
        loc = [str(part) for part in fault["loc"]]
        kept = [
            p for p in loc if not p.startswith(("literal[", "tuple[", "function-", "constrained-"))
        ]
        key = ".".join(
            p for p in kept if p not in {"Factor", "int", "float", "bool", "str", "none"}
        )
        if fault["type"] == "extra_forbidden":
            *parents, last = key.split(".")
            text = f"unknown key '{key}'; {nearest(last, _keys_of(parents))}"
        elif fault["type"] == "missing":
            text = f"'{key}' is missing"
        else:
            message = fault["msg"].removeprefix("Value error, ")
            found = fault["input"]
            shown = f", found {found!r}" if not isinstance(found, dict) else ""
            text = f"'{key or 'recipe'}': {message[0].lower()}{message[1:]}{shown}"
        if key not in seen:
            seen.add(key)
            yield text


def _keys_of(parents: Sequence[str]) -> list[str]:
    """The keys that the part at this path knows."""
    part: type[BaseModel] = Recipe
    for parent in parents:
        field = part.model_fields.get(parent)
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        if not inner:
            return []
        part = inner[0]
    return list(part.model_fields)

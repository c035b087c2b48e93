"""What every kind of recipe is made of: the base of its parts, the network, the optimizer, the
length. Frozen pydantic models; defaults are written in them alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from briskseg.core.files.yaml_text import dump_yaml


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


T = TypeVar("T")
Listed = Annotated[T, BeforeValidator(_as_tuple)]  # YAML has lists and no tuples
MOST = 1_000_000_000  # of what is counted: beyond it, libraries overflow or memory ends

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=MOST)]
CountOrZero = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # what every random number generator takes
Triple = Listed[tuple[float, float, float]]
PositiveTriple = Listed[tuple[Positive, Positive, Positive]]


def _as_range(value: Any) -> Any:
    """`x` stands for the range [x, x], so that a fixed value needs no brackets."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (value, value) if is_number else value


def check_order(bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds; raises ValueError where the first is above the second."""
    least, most = bounds
    if least > most:
        raise ValueError(f"the least ({least}) is above the most ({most})")
    return bounds


def _check_share(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[1] > 1:
        raise ValueError(f"{bounds[1]} is above 1, which is the whole")
    return bounds


Bounds = Annotated[Listed[tuple[T, T]], BeforeValidator(_as_range), AfterValidator(check_order)]
Range = Bounds[Positive]
ShareRange = Annotated[Range, AfterValidator(_check_share)]
SpreadRange = Bounds[NotNegative]


def _as_folder_name(name: str) -> str:
    """A run's folder is runs/NAME, which must not lead anywhere else."""
    strange = {"/", "\\"} & set(name) or name in {"", ".", ".."} or len(name.encode()) > 200
    if strange or not name.isprintable():
        raise ValueError("expected the name of one folder, in plain characters, without / or \\")
    return name


RunName = Annotated[str, AfterValidator(_as_folder_name)]


class Part(BaseModel):
    """Base of every part: unknown keys fail, values cannot be changed after reading, and none is
    turned into another type: true is no 1, and text no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)

    def to_yaml(self) -> str:
        """Every key with its value, in the order of the class."""
        return dump_yaml(self.model_dump(mode="json"))


class NetworkPart(Part):
    """Which network; `options` are its own keyword arguments (dropout, ...)."""

    name: str
    options: dict[str, bool | int | float | str] = {}


class OptimizerPart(Part):
    """Adam and AdamW use `betas` and `eps`; SGD uses `momentum`."""

    name: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: Positive = 1e-3
    # factors of lr for the parameters whose names begin so, as {encoder: 0.25} or {head: 10}
    lr_factors: dict[str, Positive] = {}
    weight_decay: NotNegative = 0.01
    # which parameters do not decay; null: with adamw biases and batch norms, otherwise none
    no_decay: Listed[tuple[Literal["bias", "norm", "depthwise"], ...]] | None = None
    betas: Listed[tuple[Share, Share]] = (0.9, 0.999)
    eps: Positive = 1e-8
    momentum: Share = 0.9


class SchedulePart(Part):
    """The learning rate over the run (over each stage of it), as a factor of `optimizer.lr`.

    poly: from 1 to `least` as (1 - progress) ** power. step: `factors[i]` from `milestones[i]`
    (epochs, or steps where `by` is step) on. exponential: from the one milestone on, times the one
    factor each epoch (or step). constant: 1. `warmup` steps rise before.
    """

    name: Literal["poly", "step", "exponential", "constant"] = "poly"
    by: Literal["step", "epoch"] = "step"
    power: Positive = 0.9
    least: Share = 0.0
    milestones: Listed[tuple[Count, ...]] = ()
    factors: Listed[tuple[Positive, ...]] = ()
    warmup: CountOrZero = 0  # steps, of a quarter of all at most
    # null: the schedule runs from the first step, times 1 / warmup, 2 / warmup, ... A factor: the
    # warm-up rises from it to 1, and the schedule begins after it, as in most published codes
    warmup_from: Share | None = None
    warmup_rise: Literal["linear", "exponential"] = "linear"

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
        if self.warmup_rise == "exponential" and not self.warmup_from:
            raise ValueError(
                "an exponential warm-up needs a factor above 0 in warmup_from, found "
                f"{self.warmup_from}"
            )
        return self


class LengthPart(Part):
    """How long a training is, in what steps, with what precision; what every kind of run has."""

    epochs: Count | None = None  # say epochs or steps, not both
    steps: Count | None = None
    batch: Count = 8  # images a step, on each device
    seed: Seed = 0
    optimizer: OptimizerPart = OptimizerPart()
    schedule: SchedulePart = SchedulePart()
    clip: Positive | None = None  # the gradient's norm is clipped to this
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    workers: CountOrZero | None = None  # processes that load; null: by the cores
    validate_every: Count = 1  # epochs
    log_every: Count = 10  # steps
    save_every: Positive = 10.0  # minutes at most from one checkpoint to the next
    loggers: Listed[tuple[Literal["wandb", "mlflow"], ...]] = ()  # beside CSV and TensorBoard

    @model_validator(mode="after")
    def _has_one_length(self) -> LengthPart:
        if (self.epochs is None) == (self.steps is None):
            found = "neither" if self.epochs is None else "both"
            raise ValueError(f"say epochs or steps, one of them; found {found}")
        return self

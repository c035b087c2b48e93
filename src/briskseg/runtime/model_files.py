"""What a user names -> the files that run it: weights, exported files, a run folder, a name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from shlex import quote

from briskseg.core import run_names
from briskseg.core.card import Card, read_card
from briskseg.core.errors import BriskError, DataError, RequestError, nearest
from briskseg.core.exported import Exported, read_exported, suffix_of
from briskseg.core.files.contents import other_content
from briskseg.runtime.backends import EXPORTED, WEIGHTS

ACCEPTED = (
    f"a run folder (runs/NAME), a {', '.join((WEIGHTS, *EXPORTED[:-1]))} or {EXPORTED[-1]} file, "
    "or a name that `briskseg models` lists"
)
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", ".tar")


def find_files(path: Path) -> list[Path]:
    """The files that `path` means, each a full network: exported ones, then weights.

    `path` is a file, a run folder or a shipped name. Exported files that lie beside weights count
    where they were made of these. Raises RequestError for anything else.
    """
    if is_exported(path):
        return [path]
    weights = find_weights(path)
    beside = _beside(weights)
    digest = sha256(weights) if beside else ""
    return [*(file for file in beside if _made_of(file) == digest), weights]


def is_exported(path: Path) -> bool:
    """Whether it is an exported file by its name, and there."""
    return suffix_of(path) in EXPORTED and path.is_file()


def read_file(path: Path) -> tuple[Card, Exported | None]:
    """A file's card and, of an exported one, what it says of itself.

    Raises as `read_card` and `read_exported`."""
    return read_exported(path) if suffix_of(path) in EXPORTED else (read_card(path), None)


def find_weights(path: Path) -> Path:
    """The weights file that `path` means: itself, a run folder's best, or shipped weights.

    Raises RequestError for anything else.
    """
    if path.suffix.lower() == ".mlpackage":
        raise RequestError(
            f"{path} is Core ML's, which runs on Apple's systems alone, expected {ACCEPTED}; name "
            "the weights that it was exported from"
        )
    if path.is_dir():
        return _weights_of_run(path)
    if not path.exists():
        shipped = shipped_files()
        if str(path) in shipped:
            return shipped[str(path)][-1]
        near = f"; {nearest(str(path), shipped)}" if shipped else ""
        raise RequestError(f"{path} is not there, expected {ACCEPTED}{near}")
    suffix = suffix_of(path)
    if suffix == WEIGHTS:
        return path
    if suffix in EXPORTED:
        raise RequestError(
            f"{path} is an exported file, expected weights: a run folder or a {WEIGHTS} file"
        )
    if suffix in _CHECKPOINTS:
        if content := other_content(path, expected=("zip",)):
            raise DataError(content.sentence(path, ACCEPTED))
        raise RequestError(
            f"{path} is a PyTorch checkpoint, expected {ACCEPTED}; make one with: "
            f"briskseg convert {quote(str(path))} --labels cityscapes|camvid|FILE"
        )
    if suffix == ".keras":
        raise RequestError(
            f"{path} is a Keras file, expected {ACCEPTED}; make one with: "
            f"briskseg convert {quote(str(path))}"
        )
    raise RequestError(f"{path} is of no known type, expected {ACCEPTED}")


def _weights_of_run(folder: Path) -> Path:
    weights = folder / run_names.WEIGHTS
    if weights.is_file():
        return weights
    if (folder / run_names.ENCODER).is_file():
        raise RequestError(
            f"the run {folder} has no {weights.name}, only an encoder, which predicts nothing "
            "by itself; where the run has a further stage let it train on, else train a network "
            f"from it: briskseg train RECIPE --data DIR --set {quote(f'model.encoder={folder}')}"
        )
    if (folder / run_names.RECIPE).is_file():
        raise RequestError(
            f"the run {folder} has no {weights.name} yet: no validation of it has finished; "
            "let it train on, or name one of its files in checkpoints/"
        )
    if seeds := sorted(path.name for path in folder.glob(f"{run_names.SEED}*") if path.is_dir()):
        raise RequestError(
            f"the folder {folder} holds runs of several seeds ({', '.join(seeds[:5])}); name one "
            f"of them: {folder / seeds[0]}"
        )
    raise RequestError(
        f"the folder {folder} is no run folder (no {weights.name}, no {run_names.RECIPE}), "
        f"expected {ACCEPTED}"
    )


def weights_folder() -> Path:
    """Where the weights lie that come with the package."""
    return Path(__file__).parents[1] / "weights"


def shipped_files() -> dict[str, list[Path]]:
    """The files of each shipped name, exported ones first: NAME.onnx, NAME-int8.xml ..."""
    weights = sorted(weights_folder().glob(f"*{WEIGHTS}"))
    return {file.stem: [*_beside(file), file] for file in weights}


def _beside(weights: Path) -> list[Path]:
    """NAME.onnx, NAME-int8.xml ... beside NAME.safetensors."""
    names = [f"{weights.stem}{kind}{suffix}" for kind in ("", "-int8") for suffix in EXPORTED]
    return [file for name in names if (file := weights.with_name(name)).is_file()]


def _made_of(exported: Path) -> str | None:
    """The SHA-256 of the weights that it was made of; None where it is damaged, or not ours: the
    weights beside it are what was named."""
    try:
        return read_exported(exported)[1].weights
    except BriskError:
        return None


def sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

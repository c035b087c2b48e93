"""What a user names -> the files that run it: weights, exported files, a run folder, a name, a
repository on the Hub."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from briskseg.core import run_names
from briskseg.core.card import Card, read_card
from briskseg.core.errors import BriskError, DataError, RequestError, nearest
from briskseg.core.exported import READABLE, Exported, read_exported, suffix_of
from briskseg.core.files import sha256
from briskseg.core.files.contents import refuse_other
from briskseg.core.files.safe_names import file_stem
from briskseg.core.types import Progress
from briskseg.hub.client import repository_of
from briskseg.hub.pull import pull
from briskseg.runtime.backends import BACKENDS, WEIGHTS, check_backend

ACCEPTED = (
    f"a run folder (runs/NAME), a {', '.join((WEIGHTS, *READABLE[:-1]))} or {READABLE[-1]} file, "
    "a name that `briskseg models` lists, or hf://OWNER/NAME"
)
_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", ".tar")


def find_files(path: Path, backend: str = "auto", any_size: bool = False) -> list[Path]:
    """The files that `path` means, each a full network: exported ones, then weights.

    `path` is a file, a run folder, a shipped name or hf://OWNER/NAME, of which the one file that
    the backend runs is fetched. Exported files that lie beside weights count where they were made
    of these and take images of the same size; those for another one, which give other labels, with
    `any_size`, and where a backend is named. Raises RequestError for anything else.
    """
    path = fetched(path, backend)
    if is_exported(path):
        return [path]
    weights = find_weights(path)
    beside = _beside(weights)
    if not beside:
        return [weights]
    digest, size = sha256(weights), read_card(weights).input.size
    made = [(file, found) for file in beside if (found := _exported(file)) is not None]
    any_size = any_size or backend != "auto"
    fits = [f for f, it in made if it.weights == digest and (any_size or it.size in (None, size))]
    return [*fits, weights]


def model_name(path: Path) -> str:
    """What a model is called where programs ask for it by name: the run's name, the file's without
    ending, the shipped name, or the repository's."""
    if (repository := repository_of(path.as_posix())) is not None:
        return repository.name
    if path.is_dir():
        return file_stem(path.resolve().name)
    return file_stem(path.name[: len(path.name) - len(suffix_of(path))])


def is_exported(path: Path) -> bool:
    """Whether it is an exported file by its name, and there."""
    return suffix_of(path) in READABLE and path.is_file()


def read_file(path: Path) -> tuple[Card, Exported | None]:
    """A file's card and, of an exported one, what it says of itself.

    Raises as `read_card` and `read_exported`."""
    return read_exported(path) if suffix_of(path) in READABLE else (read_card(path), None)


def fetched(path: Path, backend: str = "auto", progress: Progress | None = None) -> Path:
    """The file that the backend runs of the repository that `path` names (hf://OWNER/NAME), in the
    Hub client's cache; of "auto" the weights, where torch is not installed the ONNX file. Any other
    path is given back. progress: called with megabytes.

    Raises RequestError for a backend that runs neither, and as `hub.pull`.
    """
    repository = repository_of(path.as_posix())
    if repository is None:
        return path
    check_backend(backend)
    if backend == "auto":
        suffixes = [WEIGHTS, ".onnx"] if BACKENDS["torch"].installed() else [".onnx"]
    else:
        suffixes = [s for s in BACKENDS[backend].files if s in (WEIGHTS, ".onnx")]
    if not suffixes:
        raise RequestError(
            f"{repository.address}: the backend {backend} runs "
            f"{' or '.join(BACKENDS[backend].files)} files, and of a repository weights and ONNX "
            "files are loaded; download the file yourself, and name that"
        )
    stem = Path(run_names.WEIGHTS).stem
    return pull(repository, [f"{stem}{suffix}" for suffix in suffixes], progress)


def as_named(path: Path) -> str:
    """A model as its user named it: paths lose a slash of hf://OWNER/NAME."""
    repository = repository_of(path.as_posix())
    return str(path) if repository is None else repository.address


def default_name(model: Path, file: Path, ending: str) -> Path:
    """Where a file that is made of a model goes if nobody says: beside `file`, which `model` means;
    of what is not the user's own (shipped, or in the Hub's cache) in the working folder."""
    if (repository := repository_of(model.as_posix())) is not None:
        return Path(f"{repository.name}{ending}")
    folder = Path() if file.parent == weights_folder() else file.parent
    return folder / f"{file.stem}{ending}"


def find_weights(path: Path) -> Path:
    """The weights file that `path` means: itself, a run folder's best, shipped weights, or those in
    the repository hf://OWNER/NAME.

    Raises RequestError for anything else.
    """
    path = fetched(path, "torch")
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
        near = f"; {nearest(path, shipped)}" if shipped else ""
        raise RequestError(f"{path} is not there, expected {ACCEPTED}{near}")
    suffix = suffix_of(path)
    if suffix == WEIGHTS:
        return path
    if suffix in READABLE:
        raise RequestError(
            f"{path} is an exported file, expected weights: a run folder or a {WEIGHTS} file"
        )
    for owner in (path.with_suffix(".xml"), path.with_suffix(".param")):
        if suffix == ".bin" and owner.is_file():
            raise RequestError(f"{path} belongs to {owner}, which is the model; name that")
    run = path.absolute().parent.parent
    if suffix in _CHECKPOINTS and (run / run_names.RECIPE).is_file():
        raise RequestError(
            f"{path} is what a run resumes from, expected {ACCEPTED}; name the run: "
            f"{quote(str(path.parent.parent))}"
        )
    if suffix in _CHECKPOINTS:
        refuse_other(path, ACCEPTED, DataError, expected=("zip",))
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
        saved = sorted(folder.glob("checkpoints/*.safetensors"))
        other = f", or name what it saved: {saved[-1]}" if saved else ""
        raise RequestError(
            f"the run {folder} has no {weights.name} yet: no validation of it has finished; let it "
            f"train on, where it has stopped by: briskseg train --out {quote(str(folder))} "
            f"--resume{other}"
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
    weights = sorted(weights_folder().glob(f"*{WEIGHTS}"), key=lambda file: file.stem)
    return {file.stem: [*_beside(file), file] for file in weights}


def _beside(weights: Path) -> list[Path]:
    """NAME.onnx, NAME-int8.xml ... beside NAME.safetensors."""
    names = [f"{weights.stem}{kind}{suffix}" for kind in ("", "-int8") for suffix in READABLE]
    return [file for name in names if (file := weights.with_name(name)).is_file()]


def _exported(file: Path) -> Exported | None:
    """What an exported file says of itself; None where it is damaged, or not ours: the weights
    beside it are what was named."""
    try:
        return read_exported(file)[1]
    except BriskError:
        return None

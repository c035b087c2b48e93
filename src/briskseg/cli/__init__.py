"""The command `briskseg VERB`: one file a verb, named as the verb.

A verb reads its arguments, calls one function and prints its result. Whatever is heavy is imported
inside the verb's function, so that `briskseg --help` answers at once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
import warnings
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from briskseg import __version__
from briskseg.cli.console import plain_output
from briskseg.core.errors import BriskError, Interrupted
from briskseg.core.files import cache_folder
from briskseg.core.files.limits import max_pixels

# Failures that are no mistake of ours, wherever they come: no right, no room, a disk that fails, a
# name that is too long.
_OF_THE_MACHINE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO),
    errno.ENAMETOOLONG,
}


class Verbs(TyperGroup):
    """Lets Ctrl-C reach `main`; typer would end the program without a word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted") from error


app = typer.Typer(
    name="briskseg",
    cls=Verbs,
    help="Real-time semantic segmentation: check, train, evaluate, predict, report.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # re-wraps paragraphs to the terminal
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it.")
    ] = False,
) -> None:
    pass  # the option's callback has printed


# In the order in which one meets them; `briskseg --help` lists them so.
VERBS: tuple[str, ...] = (
    "check",
    "train",
    "evaluate",
    "compare",
    "predict",
    "label",
    "report",
    "export",
    "serve",
    "bench",
    "convert",
    "push",
    "models",
    "recipes",
    "data",
    "demo",
)


def _register() -> None:
    """Import every verb's file; each adds itself to `app` by a decorator on its function."""
    for verb in VERBS:
        importlib.import_module(f"briskseg.cli.{verb}")


def main() -> None:
    """Run the command; every error that reaches the user is one sentence and an exit status.

    0 done, 1 the work failed, 2 the request was wrong, 130 Ctrl-C. Set BRISKSEG_TRACEBACK=1 to see
    where an error came from.
    """
    with plain_output():
        try:
            _prepare_process()
            _register()
            raise SystemExit(app(prog_name="briskseg", standalone_mode=False) or 0)
        except BriskError as error:
            _fail(error, str(error), error.exit_status)
        except KeyboardInterrupt as error:
            _fail(error, "interrupted", 130)
        except Exception as error:
            if hasattr(error, "format_message"):  # click's, of which newer typers hold a copy
                if type(error).__name__ == "NoArgsIsHelpError":
                    print(error.format_message(), end="")  # "" where rich has printed it
                    raise SystemExit(2) from None
                _fail(error, _usage_fault(error), 2)
            if isinstance(error, FileNotFoundError) and not _is_here():
                _fail(error, "the folder that you are in is gone; change to another one", 2)
            if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
                where = error.filename or "a file"
                why = error.strerror or error
                _fail(error, f"{where}: {why}; see to its rights and its disk, or name another", 1)
            # our own mistake: still a sentence, with the way to report it
            _fail(
                error,
                f"a defect in briskseg: {type(error).__name__}: {error}; set "
                "BRISKSEG_TRACEBACK=1, run it again and report what it prints",
                1,
            )


def _usage_fault(error: Any) -> str:
    """What typer found wrong with the command line, and which help shows how it is written."""
    found = error.format_message().rstrip(".")
    verb = next((word for word in sys.argv[1:2] if word in VERBS), None)
    is_unknown = type(error).__name__ == "NoSuchOption"
    if is_unknown and verb == "train" and (hint := _recipe_hint(error.option_name)):
        return hint
    context = getattr(error, "ctx", None)  # none where an option's value is missing
    path = context.command_path if context else " ".join(filter(None, ("briskseg", verb)))
    there = "has an example" if verb else "lists the verbs"
    between = "" if found.endswith("?") else ";"
    return f"{found[0].lower()}{found[1:]}{between} `{path} --help` {there}"


def _recipe_hint(option: str) -> str:
    """How a recipe's key is set that was given as an option, such as --epochs or --batch-size; ""
    where none is meant."""
    from briskseg.recipe import Recipe, key_paths

    paths = {path.rpartition(".")[2]: path for path in reversed([*key_paths(Recipe)])}
    paths["model"] = "model.name"
    name = option[2:].replace("-", "_")
    for key in (name, name.partition("_")[0]):
        if key in paths:
            given = next((w for o, w in pairwise(sys.argv) if o == option), "VALUE")
            return f"no option {option}; it is a recipe's: --set {quote(f'{paths[key]}={given}')}"
    return ""


def _is_here() -> bool:
    """Whether the process' folder is still there."""
    try:
        return Path.cwd().is_dir()
    except FileNotFoundError:
        return False


def _prepare_process() -> None:
    """Set what only the process' owner may, before the libraries that read it are loaded."""
    # OpenCV's own bound becomes ours; Pillow's warning near its own would only repeat our error.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(max_pixels()))
    warnings.filterwarnings("ignore", r"Image size \(", RuntimeWarning)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET: our error says it
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))


def _fail(error: BaseException, message: str, status: int) -> NoReturn:
    if os.environ.get("BRISKSEG_TRACEBACK") == "1":
        traceback.print_exception(error)
    print(f"briskseg: {message}", file=sys.stderr)
    raise SystemExit(status)

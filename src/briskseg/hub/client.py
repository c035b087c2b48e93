"""The Hub's own client, imported where it is needed, and its errors as sentences without tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import NamedTuple

from briskseg.core.errors import BriskError, RequestError, needs
from briskseg.core.files.safe_names import printable

# Path("hf://owner/name") has one slash: paths know no doubled ones.
_ADDRESS = re.compile(r"hf:/{1,2}([^/@]+)/([^/@]+)(?:@(.+))?")
_NAME = re.compile(r"(?!.*(?:--|\.\.))\w[\w.-]{0,94}\w|\w", re.ASCII)
_REVISION = re.compile(r"(?!.*\.\.)\w[\w./-]{0,199}", re.ASCII)
_LONGEST_REASON = 300


class Repository(NamedTuple):
    """OWNER/NAME on the Hub; revision: a branch, a tag or a commit, None for its main branch."""

    owner: str
    name: str
    revision: str | None = None

    @property
    def id(self) -> str:
        """As the Hub names it."""
        return f"{self.owner}/{self.name}"

    @property
    def address(self) -> str:
        """As one types it for `load`."""
        return f"hf://{self.id}" + (f"@{self.revision}" if self.revision else "")

    @classmethod
    def from_id(cls, text: str) -> Repository:
        """Of OWNER/NAME. Raises RequestError for anything else."""
        owner, slash, name = text.removeprefix("hf://").partition("/")
        if not slash or not (_NAME.fullmatch(owner) and _NAME.fullmatch(name)):
            raise RequestError(
                f"{text} is no repository on the Hub, expected OWNER/NAME, of letters, digits, "
                "'-', '_' and '.'"
            )
        return cls(owner, name)


def repository_of(address: str) -> Repository | None:
    """The repository that `hf://OWNER/NAME[@REVISION]` names, None for what is no such address.

    Raises RequestError for one that begins so and is malformed.
    """
    if not address.startswith("hf:/"):
        return None
    found = _ADDRESS.fullmatch(address)
    if found and all(_NAME.fullmatch(found[n]) for n in (1, 2)):
        owner, name, revision = found.groups()
        if revision is None or _REVISION.fullmatch(revision):
            return Repository(owner, name, revision)
    shown = f"hf://{address.removeprefix('hf:').lstrip('/')}"  # a path keeps one of two slashes
    raise RequestError(
        f"{shown} is no address of a model, expected hf://OWNER/NAME or hf://OWNER/NAME@REVISION"
    )


def client(purpose: str) -> ModuleType:
    """The package huggingface_hub. Raises MissingExtraError where it is not installed."""
    with needs(purpose, "hub"):
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils
    found: ModuleType = huggingface_hub
    return found


@contextmanager
def hub_errors(repository: Repository) -> Iterator[None]:
    """What the client raises within reaches the user as a sentence that holds no token; but that a
    file is not there (EntryNotFoundError) is for the caller to judge."""
    from huggingface_hub import errors

    try:
        yield
    except (BriskError, errors.EntryNotFoundError):
        raise
    except errors.GatedRepoError:
        raise RequestError(
            f"{repository.address} is open to those alone who have asked its owner; ask on its "
            "page, then log in with: hf auth login"
        ) from None
    except errors.RepositoryNotFoundError:
        raise RequestError(
            f"{repository.address}: there is no such model on the Hub, or it is private and not "
            "yours; see to the name, or log in with: hf auth login (or set HF_TOKEN)"
        ) from None
    except errors.RevisionNotFoundError:
        raise RequestError(
            f"{repository.address}: the repository has no revision '{repository.revision}'; leave "
            "it out for the newest, or name a branch, a tag or a commit of it"
        ) from None
    except Exception as error:  # of the client, of its HTTP library, or of the system
        raise BriskError(
            f"{repository.address}: the Hub did not do as asked ({reason(error)}); see to the "
            "connection and to the token's rights (hf auth whoami), and run it again"
        ) from None


@contextmanager
def own_progress(hub: ModuleType) -> Iterator[None]:
    """Within it the client shows no bars: what is shown of progress is its caller's."""
    utils = hub.utils
    were_shown = not utils.are_progress_bars_disabled()
    utils.disable_progress_bars()
    try:
        yield
    finally:
        if were_shown:
            utils.enable_progress_bars()


def reason(error: BaseException) -> str:
    """What an error says, on one line and without tokens."""
    said = str(error).strip() or type(error).__name__
    cause = str(error.__cause__ or "")  # says more where one of several files could not be sent
    said = said if cause in said else f"{said} {cause}"
    return without_tokens(printable(" ".join(said.split())))[:_LONGEST_REASON]


def without_tokens(text: str) -> str:
    """The text with every token in it replaced: the one in use, and what looks like one."""
    with suppress(Exception):  # the text is shown all the same where there is no such file
        from huggingface_hub import get_token

        if token := get_token():
            text = text.replace(token, "***")
    return re.sub(r"\bhf_[A-Za-z0-9]{16,}|(?i:\bbearer) \S+", "***", text)

"""One file of a repository on the Hub, in the client's own cache; nothing of it is executed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from briskseg.core.errors import BriskError, RequestError, WeightsError
from briskseg.core.files import sha256
from briskseg.core.files.limits import MAX_DOWNLOAD_BYTES
from briskseg.core.types import Progress
from briskseg.hub.client import Repository, client, hub_errors, own_progress, reason

_SHA256 = re.compile(r"[0-9a-f]{64}")


def pull(repository: Repository, names: Sequence[str], progress: Progress | None = None) -> Path:
    """The first of the files that the repository holds; of the others nothing is downloaded.

    One that is in the cache already is not downloaded again, and is taken as it is where the Hub
    cannot be reached. progress: called with megabytes.

    Raises:
        RequestError: there is no such repository, revision or file.
        WeightsError: the file is larger than a network is, or not known to be what was published.
        BriskError: the Hub cannot be reached and no such file is in the cache.
        MissingExtraError: without huggingface_hub.
    """
    hub = client(f"loading {repository.address}")
    unreachable = ""
    for name in names:
        with hub_errors(repository):
            try:
                return _download(hub, repository, name, progress)
            except hub.errors.EntryNotFoundError:
                continue
            except _Unreachable as error:
                unreachable = str(error)
            if cached := _cached(hub, repository, name):
                return cached
    if unreachable:
        raise BriskError(
            f"{repository.address}: {' or '.join(names)} is not in the cache here "
            f"({hub.constants.HF_HUB_CACHE}), and the Hub cannot be reached ({unreachable}); run "
            f"`hf download {repository.id} {names[0]}` where it can, and bring that folder here "
            "(HF_HUB_CACHE names it), or name the file itself"
        )
    raise RequestError(
        f"{repository.address} holds no {' or '.join(names)}, expected a repository that "
        "`briskseg push` wrote; download another file of it yourself, and name that"
    )


class _Unreachable(Exception):
    """The Hub does not answer, or not now."""


def _download(
    hub: ModuleType, repository: Repository, name: str, progress: Progress | None
) -> Path:
    url = hub.hf_hub_url(repository.id, name, revision=repository.revision)
    errors = hub.errors
    try:
        stated = hub.get_hf_file_metadata(url)
    except (
        errors.EntryNotFoundError,
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
    ):
        raise
    except Exception as error:  # whatever it is, what was downloaded before may do
        raise _Unreachable(reason(error)) from None
    if stated.size is None or stated.size > MAX_DOWNLOAD_BYTES:
        size = "no size that is known" if stated.size is None else f"{stated.size} bytes"
        raise WeightsError(
            f"{repository.address}: its {name} has {size}, expected at most {MAX_DOWNLOAD_BYTES}; "
            "it is no network of ours and is not downloaded"
        )
    total, done = stated.size, 0

    def update(_: Any, n: float | None = 1) -> None:
        nonlocal done
        done = min(total, done + int(n or 0))
        if progress is not None:
            progress(done // 1_000_000, -(-total // 1_000_000))

    counter = type("Counter", (hub.utils.tqdm,), {"update": update})  # a bar that is not shown
    where = {"revision": repository.revision, "tqdm_class": counter}
    with own_progress(hub):
        try:
            file = Path(hub.hf_hub_download(repository.id, name, **where))
        except errors.LocalEntryNotFoundError as error:  # it asks the Hub once more
            raise _Unreachable(reason(error)) from None
    return _checked(file, stated.etag or "", repository)


def _cached(hub: ModuleType, repository: Repository, name: str) -> Path | None:
    found = hub.try_to_load_from_cache(repository.id, name, revision=repository.revision)
    # A link's target is named by what the Hub stated when it was downloaded.
    if not isinstance(found, str):
        return None
    return _checked(Path(found), Path(found).resolve().name, repository)


def _checked(file: Path, stated: str, repository: Repository) -> Path:
    """The file, where it has the SHA-256 that is stated."""
    if not _SHA256.fullmatch(stated):  # Git stores it itself, or the cache has no links
        raise WeightsError(
            f"{repository.address}: nothing states the SHA-256 of {file}, so that it cannot be "
            "checked; if you trust it, name that file itself"
        )
    if (found := sha256(file)) != stated:
        raise WeightsError(
            f"{repository.address}: the SHA-256 of {file} is {found}, and the Hub states {stated}; "
            f"remove {file.resolve()} and load it again"
        )
    return file

"""What bounds a server: how much it takes, how long it waits, who may ask."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from briskseg.core.card import Card
from briskseg.core.errors import RequestError
from briskseg.core.files.limits import (
    MAX_INPUT_PIXELS,
    MAX_PIXELS_VARIABLE,
    check_size,
    max_pixels,
)

MAX_SIDE = 65_535  # pixels: what a JPEG can have; encoders of labels take no more than a million
# Where the network sees images at their own size, their pixels set what it takes of memory: 4K.
_UNRESIZED_PIXELS = 3840 * 2160
_MAX_FRAME_BYTES = 8 << 20  # of a stream's message: a camera's JPEG has one megabyte
_MAX_TOKEN_BYTES = 4096


@dataclass(frozen=True)
class Settings:
    """The bounds of one server.

    workers: threads that decode, run the network and encode. queue: how many accepted requests
    may wait for one. body: bytes of a request's. pixels: of an image. timeout: seconds in which a
    body must have come, in which a worker must have begun with it, and in which the client must
    have read the answer. token: None lets everybody
    ask.
    """

    workers: int = 2
    queue: int = 64
    body: int = 32 << 20
    pixels: int = MAX_INPUT_PIXELS
    timeout: float = 30.0
    token: Token | None = None
    batch: int = 16  # images of one request
    streams: int = 16  # open at once; each holds up to three frames

    @property
    def bodies(self) -> int:
        """Bytes of all bodies that are held at once."""
        return 8 * self.body

    @property
    def frame(self) -> int:
        """Bytes of a stream's message."""
        return min(self.body, _MAX_FRAME_BYTES)


def default_pixels(card: Card, has_windows: bool) -> int:
    """The most pixels of an image: those of $BRISKSEG_MAX_PIXELS; else what this network's memory
    bears."""
    if MAX_PIXELS_VARIABLE in os.environ:
        return max_pixels()
    return MAX_INPUT_PIXELS if card.input.size or has_windows else _UNRESIZED_PIXELS


class Token:
    """A secret that whoever asks must know."""

    def __init__(self, secret: str) -> None:
        self._digest = sha256(secret.encode()).digest()

    def __repr__(self) -> str:  # never in a log
        return "Token(...)"

    @classmethod
    def read(cls, path: Path) -> Token:
        """The token in a file, without the line's end. Raises RequestError for a file that is not
        there, empty, or holds anything but one line of plain characters."""
        try:
            check_size(path, _MAX_TOKEN_BYTES, RequestError)
            text = path.read_bytes().decode("ascii").strip()
        except OSError as error:
            raise RequestError(
                f"--token-file {path} cannot be read: {error.strerror or error}; name a file that "
                "holds the token"
            ) from None
        except UnicodeDecodeError:
            text = " "
        if not text.isprintable() or not text or " " in text:
            found = "several words, or signs beyond ASCII," if text else "nothing,"
            raise RequestError(
                f"--token-file {path} holds {found} expected one line of letters, digits and "
                "signs; make one with: openssl rand -hex 32"
            )
        return cls(text)

    def is_known(self, offered: str) -> bool:
        """Whether this is the secret, in a time that says nothing of it."""
        offered_digest = sha256(offered.encode("utf-8", "surrogatepass")).digest()
        return hmac.compare_digest(offered_digest, self._digest)

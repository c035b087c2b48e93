"""Why a request is not done: a status and one sentence, as JSON."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from briskseg.core.files.safe_names import printable

RETRY_S = 1  # after which a busy server is asked again


class Refused(Exception):
    """A request that is not done. status: of HTTP. message: what was found, what was expected, what
    to do. reason: a word for the metrics."""

    def __init__(self, status: int, message: str, reason: str = "request") -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason

    def response(self) -> Response:
        """As an answer."""
        answer = JSONResponse({"error": self.message}, self.status)
        if self.status == 503:
            answer.headers["Retry-After"] = str(RETRY_S)
        if self.status == 401:
            # With Basic a browser asks its user for the token: as the password, of any user. In
            # one header both would be legal, and Chromium would see neither.
            answer.headers.append("WWW-Authenticate", "Bearer")
            answer.headers.append("WWW-Authenticate", 'Basic realm="briskseg", charset="UTF-8"')
        return answer


async def answer_unknown(request: Request, error: Exception) -> Response:
    """The answer where no such path is served, or not by this method."""
    assert isinstance(error, HTTPException)
    what = printable(f"{request.method} {request.scope['path'][:200]}")
    found = {404: "is not served here", 405: "is not how this path is asked"}
    message = f"{what} {found.get(error.status_code, error.detail)}; /openapi.json lists what is"
    return JSONResponse({"error": message}, error.status_code, error.headers)

"""HTTP as httptools reads it, with an end to what it holds of a request that never begins."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 1 << 16  # of a request's line and headers, after the piece that they begin in


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol; the parser would gather a request line or headers without an end."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._is_in_head, self._head_bytes = False, 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._is_in_head = False

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response(
                    f"The headers are longer than {MAX_HEAD_BYTES} bytes; leave some out."
                )
                return
        super().data_received(data)

"""A Hub of one's own on loopback: the few answers that huggingface_hub needs to push and to load.

After https://huggingface.co/docs/hub/api and the LFS batch API; files whose names end as networks'
do are LFS's, as the Hub's own .gitattributes have it. `requests` says what was asked for.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

LFS = (".safetensors", ".onnx", ".bin", ".tflite", ".png")
TOKEN = "hf_secretOfTheTests"


@dataclass
class Repo:
    """commits: the files of each by name, the last one main's."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return [*self.commits][-1]


class Hub(ThreadingHTTPServer):
    """changes: of what is stated of a file, as {"etag": "..."}; broken: what it says to everything
    instead, with status 500; answers_left: after which it refuses with 501; is_gone: no longer
    there."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.stated: dict[str, str] = {}
        self.broken = ""
        self.answers_left = math.inf
        self.is_gone = False
        self.commit_headers: list[dict[str, Any]] = []
        Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        if self.server.is_gone:  # connections that were open before are cut
            self.close_connection = True
            return
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((method, path))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.broken:
            self._send(500, {"error": self.server.broken.format(self.headers["Authorization"])})
            return
        self.server.answers_left -= 1
        if self.server.answers_left < 0:  # a 503 the client would try again for half a minute
            self._send(501, {"error": "not now"})
            return
        for pattern, needs_token, answer in (
            (r"POST /api/validate-yaml", False, self._validate),
            (r"POST /api/repos/create", True, self._create),
            (r"GET /api/models/([^/]+/[^/]+)(?:/revision/.+)?", False, self._info),
            (r"POST /api/models/([^/]+/[^/]+)/preupload/(.+)", True, self._preupload),
            (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", True, self._lfs_batch),
            (r"PUT /lfs/(\w+)", False, self._lfs_put),
            (r"POST /api/models/([^/]+/[^/]+)/commit/(.+)", True, self._commit),
            (r"(?:HEAD|GET) /([^/]+/[^/]+)/resolve/([^/]+)/(.+)", False, self._resolve),
        ):
            if found := re.fullmatch(pattern, f"{method} {path}"):
                if needs_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    self._send(401, {"error": "Invalid username or password."})
                else:
                    answer(body, *found.groups())
                return
        self._send(404, {"error": f"no such endpoint: {method} {path}"})

    def _send(self, status: int, content: Any = b"", **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _validate(self, body: bytes) -> None:
        self._send(200, {"errors": [], "warnings": []})

    def _create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.repos:
            self._send(409, {"error": "exists", "url": f"{self.server.url}/{name}"})
            return
        is_private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.server.repos[name] = Repo(is_private, {"0" * 40: {}})
        self._send(200, {"url": f"{self.server.url}/{name}"})

    def _repo(self, name: str) -> Repo | None:
        repo = self.server.repos.get(name)
        is_own = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo is None or (repo.private and not is_own):
            self._send(401, {"error": "no"}, X_Error_Code="RepoNotFound")
            return None
        return repo

    def _info(self, _: bytes, name: str) -> None:
        if repo := self._repo(name):
            about = {"id": name, "modelId": name, "sha": repo.head, "private": repo.private}
            files = [{"rfilename": file} for file in repo.commits[repo.head]]
            self._send(200, about | {"siblings": files, "tags": [], "downloads": 0, "likes": 0})

    def _preupload(self, body: bytes, name: str, _: str) -> None:
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LFS) else "regular",
                "shouldIgnore": False,
                "oid": None,
            }
            for file in json.loads(body)["files"]
        ]
        self._send(200, {"files": modes})

    def _lfs_batch(self, body: bytes, name: str) -> None:
        objects = [
            {
                "oid": each["oid"],
                "size": each["size"],
                "actions": {"upload": {"href": f"{self.server.url}/lfs/{each['oid']}"}},
            }
            for each in json.loads(body)["objects"]
        ]
        self._send(200, {"transfer": "basic", "objects": objects})

    def _lfs_put(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.blobs[oid] = body
        self._send(200)

    def _commit(self, body: bytes, name: str, _: str) -> None:
        repo = self.server.repos[name]
        files = dict(repo.commits[repo.head])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.server.commit_headers.append(value)
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        commit = hashlib.sha1(body).hexdigest()
        repo.commits[commit] = files
        url = f"{self.server.url}/{name}/commit/{commit}"
        self._send(200, {"commitUrl": url, "commitOid": commit, "pullRequestUrl": None})

    def _resolve(self, _: bytes, name: str, revision: str, file: str) -> None:
        repo = self._repo(name)
        if repo is None:
            return
        commit = repo.head if revision == "main" else revision
        if commit not in repo.commits:
            self._send(404, {"error": "no"}, X_Error_Code="RevisionNotFound")
        elif file not in repo.commits[commit]:
            self._send(404, {"error": "no"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        else:
            data = repo.commits[commit][file]
            is_lfs = file.endswith(LFS)
            digest = hashlib.sha256(data) if is_lfs else hashlib.sha1(data)
            stated = {"etag": digest.hexdigest(), "size": str(len(data))} | self.server.stated
            about = {"ETag": f'"{stated["etag"]}"', "X_Repo_Commit": commit}
            if is_lfs:
                about |= {"X_Linked_ETag": about["ETag"], "X_Linked_Size": stated["size"]}
            self._send(200, data, **about)

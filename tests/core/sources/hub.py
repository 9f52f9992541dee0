"""A hub of one's own on loopback: what it says of a repository, files with ranges, and lines that break."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
LARGE = (".safetensors", ".bin")
"""Stored by SHA-256, as the hub does with what is in LFS; the rest by git's own hash."""


@dataclass
class Hub:
    """Repositories by name, each a dictionary of files."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    """After how many bytes a file's line breaks, request by request; -1 for an answer of 503."""
    swapped: dict[str, bytes] = field(default_factory=dict)
    """What is sent in place of a file, its size and checksum being told as before."""
    ranges: list[str] = field(default_factory=list)
    """The ranges that were asked for."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    endpoint: str = ""

    def start(self) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def describe(self, repo: str) -> dict[str, Any]:
        return {
            "id": repo,
            "sha": COMMIT,
            "siblings": [self._sibling(name, data) for name, data in self.repos[repo].items()],
        }

    def _sibling(self, name: str, data: bytes) -> dict[str, Any]:
        blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()
        told: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
        if name.endswith(LARGE):
            sha256 = hashlib.sha256(data).hexdigest()
            told["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
        return told


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path))
        for repo, files in self.hub.repos.items():
            if path.startswith(f"/api/models/{repo}/revision/"):
                if path.endswith(("/main", COMMIT)):
                    return self._send(json.dumps(self.hub.describe(repo)).encode())
                return self._send(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})
            if path.startswith(f"/{repo}/resolve/{COMMIT}/"):
                name = path.removeprefix(f"/{repo}/resolve/{COMMIT}/")
                if name.endswith(LARGE):
                    return self._send(b"", 302, {**self._headers(files[name]), "Location": f"/cdn{path}"})
                return self._file(name, files[name])
            if path.startswith(f"/cdn/{repo}/"):
                name = path.partition(f"{COMMIT}/")[2]
                return self._file(name, files[name])
        return self._send(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

    def _headers(self, data: bytes) -> dict[str, str]:
        return {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Size": str(len(data)),
            "X-Linked-ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Xet-Hash": "0" * 64,  # the hub offers its other way of transfer with each large file
        }

    def _file(self, name: str, data: bytes) -> None:
        data = self.hub.swapped.get(name, data)
        asked = self.headers.get("Range", "")
        first = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        if asked:
            self.hub.ranges.append(f"{name} {first}")
        if cuts := self.hub.cut.get(name):
            if (cut := cuts.pop(0)) < 0:
                return self._send(b"", 503)
            return self._broken(data[first:], cut, first, len(data))
        headers = {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return self._send(data[first:], 206 if asked else 200, headers)

    def _broken(self, data: bytes, cut: int, first: int, total: int) -> None:
        """Promise all of it, send a part, and hang up."""
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(data)))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        self.end_headers()
        self.wfile.write(data[:cut])
        self.wfile.flush()
        self.close_connection = True

    def _send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass

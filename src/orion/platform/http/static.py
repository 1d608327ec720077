"""The built web, served from a map made of the folder: what is not in the map does not exist, so no
path can climb out.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orion.platform.errors import Coded

MAX_TOTAL_BYTES = 64 * 1024 * 1024
_HASHED = re.compile(r"[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".map": "application/json",
}
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
NOT_BUILT = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Orion</title>
<body><h1>The workstation has not been built yet</h1>
<p>Run <code>make web</code> in the project's folder (or start with <code>make run</code>,
which builds it first), then reload this page. The API answers already under
<a href="/api/v1/openapi.json">/api/v1</a>.</p></body></html>"""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    media_type: str
    etag: str
    is_immutable: bool
    encoded: dict[str, bytes]


class StaticFiles:
    """An ASGI app over a folder. Unknown paths without a suffix give the index page (client
    routes).
    """

    def __init__(self, root: Path, index: str = "index.html"):
        self._root, self._index = root, index
        self._files: dict[str, _File] = {}
        self._stamp: int | None = None

    def _refresh(self) -> None:
        # One stat per page: a rebuilt web is picked up without a restart.
        index = self._root / self._index
        stamp = index.stat().st_mtime_ns if index.is_file() else None
        if stamp == self._stamp:
            return
        self._files = load(self._root) if stamp is not None else {}
        self._stamp = stamp

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            raise Coded("API-107")
        path = scope["path"].lstrip("/")
        scope["path_template"] = "static"
        if path in ("", self._index) or "." not in path.rsplit("/", 1)[-1]:
            self._refresh()
            if self._index not in self._files:
                await _send(
                    send,
                    503,
                    NOT_BUILT,
                    [(b"content-type", b"text/html; charset=utf-8"), (b"retry-after", b"5")],
                )
                return
            path = self._index
        found = self._files.get(path)
        if found is None:
            raise Coded("API-104")
        await self._answer(scope, send, found)

    async def _answer(self, scope: Any, send: Any, found: _File) -> None:
        wanted = {k: v.decode("latin-1") for k, v in scope["headers"]}
        cache = "public, max-age=31536000, immutable" if found.is_immutable else "no-cache"
        headers = [
            (b"content-type", found.media_type.encode()),
            (b"etag", found.etag.encode()),
            (b"cache-control", cache.encode()),
            (b"vary", b"accept-encoding"),
        ]
        if found.etag in [t.strip() for t in wanted.get(b"if-none-match", "").split(",")]:
            await _send(send, 304, b"", headers)
            return
        body = found.body
        accepted = {p.split(";")[0].strip() for p in wanted.get(b"accept-encoding", "").split(",")}
        for name, _ in _ENCODINGS:
            if name in accepted and name in found.encoded:
                body = found.encoded[name]
                headers.append((b"content-encoding", name.encode()))
                break
        await _send(send, 200, body, headers)


def load(root: Path) -> dict[str, _File]:
    """All files under `root` (links are not followed out of it), by their path relative to it."""
    total, found = 0, {}
    top = root.resolve()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        if not path.resolve().is_relative_to(top) or path.suffix in (".br", ".gz"):
            continue
        if path.name.startswith("."):  # marks of the build
            continue
        body = path.read_bytes()
        total += len(body)
        if total > MAX_TOTAL_BYTES:
            raise ValueError(f"{root} holds more than {MAX_TOTAL_BYTES} bytes")
        name = path.relative_to(root).as_posix()
        encoded = {
            label: twin.read_bytes()
            for label, suffix in _ENCODINGS
            if (twin := path.with_name(path.name + suffix)).is_file()
        }
        etag = '"' + hashlib.blake2b(body, digest_size=12).hexdigest() + '"'
        hashed = name.startswith("assets/") and _HASHED.search(name) is not None
        found[name] = _File(body, _media_type(path), etag, hashed, encoded)
    return found


def _media_type(path: Path) -> str:
    kind = (
        _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    )
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


async def _send(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    if status != 304:
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

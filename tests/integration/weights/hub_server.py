"""A model hub on loopback: the few endpoints that huggingface_hub asks, over real HTTP, with faults on demand."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["Hub", "run_hub"]

_PIECE = 64 << 10
_HELD_S = 60.0


@dataclass
class Hub:
    url: str = ""
    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    """owner/name -> revision -> folder."""
    token: str | None = None
    """Asked of everybody."""
    cut_after: int | None = None
    """Bytes of a weight file after which the connection is cut..."""
    cuts: int = 0
    """...so many times."""
    hold: threading.Event | None = None
    """Until it is set no byte of a weight file is sent."""
    claimed_bytes: int | None = None
    """What each weight file is said to have."""
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path, Range."""
    weight_bytes: int = 0
    """Sent of weight files."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def commit(self, repository: str, revision: str) -> str:
        return hashlib.sha1(f"{repository}@{revision}".encode()).hexdigest()

    def folder(self, repository: str, revision: str) -> Path | None:
        revisions = self.repositories.get(repository, {})
        by_commit = {self.commit(repository, name): folder for name, folder in revisions.items()}
        return revisions.get(revision) or by_commit.get(revision)

    def weight_ranges(self) -> list[str]:
        return [part for method, path, part in self.requests if method == "GET" and ".safetensors" in path and part]


@contextmanager
def run_hub(host: str = "127.0.0.1") -> Iterator[Hub]:
    hub = Hub()

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = False
    hub.url = f"http://{host}:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    state: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        with self.state.lock:
            self.state.requests.append((self.command, path, self.headers.get("Range")))
        if self.state.token and self.headers.get("Authorization") != f"Bearer {self.state.token}":
            self._error(401, "RepoNotFound" if "Authorization" in self.headers else None)
            return
        words = path.strip("/").split("/")
        if words[:2] == ["api", "models"]:
            self._about(f"{words[2]}/{words[3]}", words[4:])
        elif len(words) > 4 and words[2] == "resolve":
            self._file(f"{words[0]}/{words[1]}", words[3], "/".join(words[4:]), body)
        else:
            self._error(404, None)

    def _about(self, repository: str, rest: list[str]) -> None:
        what, revision = (rest[0], "/".join(rest[1:])) if rest else ("revision", "main")
        if repository not in self.state.repositories:
            self._error(404, "RepoNotFound")
            return
        folder = self.state.folder(repository, revision)
        if folder is None:
            self._error(404, "RevisionNotFound")
            return
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if what == "tree":
            self._json([self._entry(folder, file) for file in files])
            return
        sha = revision if len(revision) == 40 else self.state.commit(repository, revision)
        names = [{"rfilename": str(file.relative_to(folder))} for file in files]
        self._json({"id": repository, "sha": sha, "siblings": names, "private": False, "tags": [], "downloads": 0})

    def _entry(self, folder: Path, file: Path) -> dict[str, object]:
        entry: dict[str, object] = {
            "type": "file",
            "path": str(file.relative_to(folder)),
            "size": file.stat().st_size,
            "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
        }
        if file.suffix == ".safetensors":
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            size = self.state.claimed_bytes or file.stat().st_size
            entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 130}
            entry["size"] = size
        return entry

    def _file(self, repository: str, revision: str, name: str, body: bool) -> None:
        folder = self.state.folder(repository, revision)
        if folder is None or not (folder / name).is_file():
            self._error(404, "RevisionNotFound" if folder is None else "EntryNotFound")
            return
        data = (folder / name).read_bytes()
        weights = name.endswith(".safetensors")
        digest = (hashlib.sha256 if weights else hashlib.sha1)(data).hexdigest()
        first, last = 0, len(data) - 1
        part = self.headers.get("Range")
        if part:
            low, _, high = part.removeprefix("bytes=").partition("-")
            first, last = int(low), int(high) if high else last
        self.send_response(206 if part else 200)
        claimed = self.state.claimed_bytes if weights and not body else None
        self.send_header("Content-Length", str(claimed or last + 1 - first))
        if part:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", revision)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if body:
            self._send(data[first : last + 1], weights)

    def _send(self, data: bytes, weights: bool) -> None:
        limit = None
        if weights and self.state.hold is not None:
            self.state.hold.wait(_HELD_S)
        with self.state.lock:
            if weights and self.state.cut_after is not None and self.state.cuts and len(data) > self.state.cut_after:
                self.state.cuts -= 1
                limit = self.state.cut_after
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            if limit is not None and start + len(piece) > limit:
                self.wfile.flush()
                self.close_connection = True
                return
            try:
                self.wfile.write(piece)
            except OSError:  # the fetcher was killed
                self.close_connection = True
                return
            if weights:
                with self.state.lock:
                    self.state.weight_bytes += len(piece)

    def _json(self, data: object) -> None:
        text = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _error(self, status: int, code: str | None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

"""A real HTTP server that answers what a test says, and keeps what it was asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    """A request as it came. `path` is as it was sent, without the query."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The body as JSON."""
        return json.loads(self.content)

    @property
    def token(self) -> str | None:
        """The token it carried."""
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None


@dataclass(frozen=True)
class Reply:
    """What is answered; `raw` goes out as it is, without an envelope."""

    result: Any = None
    status: int = 200
    message: str = "Done."
    raw: bytes | None = None

    @property
    def content(self) -> bytes:
        """The body."""
        status = "success" if self.status < 300 else "error"
        envelope = {"message": self.message, "result": self.result, "status": status, "version": "1"}
        return json.dumps(envelope).encode() if self.raw is None else self.raw


@dataclass
class Stub:
    """Answers by method and path; of several for one the last stays. Anything else is answered with 404."""

    url: str
    seen: list[Seen] = field(default_factory=list)
    replies: dict[tuple[str, str], list[Reply]] = field(default_factory=dict)

    def on(self, method: str, path: str, *replies: Reply) -> None:
        """What to answer, one after the other."""
        self.replies[method, path] = list(replies)

    def answer(self, seen: Seen) -> Reply:
        """The next answer."""
        self.seen.append(seen)
        replies = self.replies.get((seen.method, seen.path))
        if not replies:
            return Reply(status=404, message=f"There is no {seen.path}.")
        return replies.pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def running_stub() -> Iterator[Stub]:
    """The server, on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _handle(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = stub.answer(Seen(self.command, parts.path, query, headers, content))
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_DELETE = do_PUT = _handle  # noqa: N815

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        stub = Stub(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield stub
        server.shutdown()
        thread.join()

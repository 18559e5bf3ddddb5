"""Serving message after message in one process (docs/reference/container.md, "Resident processes").

The daemon sends each message as an HTTP/1.1 request over a Unix socket. The standard library is all that this needs.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Callable, Iterator, Mapping, NoReturn

from reactors.runtime.attributes import AttributeDict
from reactors.runtime.context import get_context, in_container
from reactors.runtime.errors import ResultNotSent
from reactors.runtime.resident_http import Connection, Request, RequestInvalid
from reactors.runtime.results import LARGEST, content_of, send_result

SOCKET_VARIABLE = "_abaco_resident_socket"
"""The variable with the path of the socket; where there is none, there is one message, in the environment."""

EXIT_CODE_HEADER = "Abaco-Exit-Code"
_TERMINATED = 128 + signal.SIGTERM
_LARGEST_CODE = 255
_FOR_ALL = 0o666

Handler = Callable[[AttributeDict], Any]


class _Stopped(BaseException):
    """The process was asked to end; no handler's `except Exception` keeps it from that."""


def serve(handler: Handler) -> None:
    """Call `handler(context)` for each message, one at a time, for as long as the worker is kept; returns for none.

    What the handler returns is the result: bytes as they are, a text in UTF-8, None for none, anything else as JSON. While
    it runs the environment of the process is that of the execution, so that `Reactor()`, `get_context()` and programs that
    it starts see the message; afterwards it is as before. An exception is logged and makes exit code 1, `sys.exit` ends the
    execution only. What is printed is written a line at a time, and all of it before the answer.

    Where the actor has no hint `resident`, and outside a container, the one message of the environment is handled, and an
    exception ends the program as it would any.

    Raises:
        OSError: the socket cannot be made.
    """
    path = os.environ.get(SOCKET_VARIABLE)
    _write_lines_at_once()
    if path:
        _serve_at(path, handler)
    else:
        _run_once(handler)


def _run_once(handler: Handler) -> None:
    content = _content(handler(get_context()))
    if not content:
        return
    if in_container(os.environ):
        send_result(content)
    else:
        sys.stdout.write(f"result: {content!r}\n")


def _serve_at(path: str, handler: Handler) -> None:
    try:
        with _ending_at_a_signal(), _listening(path) as listener:
            while True:
                connection, _ = listener.accept()
                with connection:
                    _serve_connection(Connection(connection), handler)
    except _Stopped:
        sys.exit(_TERMINATED)


def _serve_connection(connection: Connection, handler: Handler) -> None:
    """Answer one request after the other until the other side closes, or talks something else."""
    try:
        while True:
            request = connection.next_request()
            if request is None:
                return
            code, content = _handled(request, handler)
            connection.answer("500 Internal Server Error" if code else "200 OK", {EXIT_CODE_HEADER: str(code)}, content)
    except RequestInvalid as error:
        with suppress(OSError):
            connection.answer("400 Bad Request", {"Connection": "close"}, str(error).encode())
    except OSError as error:
        sys.stderr.write(f"the connection to the daemon was lost: {error}\n")


def _handled(request: Request, handler: Handler) -> tuple[int, bytes]:
    """Exit code and result."""
    code, content = 0, b""
    with _environment(request.variables):
        try:
            content = _content(handler(get_context()))
        except SystemExit as error:
            code = _code_of(error)
        except Exception:  # noqa: BLE001 - whatever a handler raises costs its execution only
            traceback.print_exc()
            code = 1
    _flush()
    return code, content


def _content(value: Any) -> bytes:
    content = b"" if value is None else content_of(value)
    if len(content) > LARGEST:
        raise ResultNotSent(f"the result has {len(content)} bytes; at most {LARGEST} can be sent")
    return content


def _code_of(error: SystemExit) -> int:
    """The exit code that the program would have had; a text is printed, as Python does at an end."""
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & _LARGEST_CODE
    sys.stderr.write(f"{error.code}\n")
    return 1


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """The process has these variables besides its own inside the context."""
    own = dict(os.environ)
    try:
        for name, value in variables.items():
            # Query parameters may have names and values that no environment takes.
            with suppress(ValueError, OSError):
                os.environ[name] = value
        yield
    finally:
        for name in [name for name in os.environ if name not in own]:
            del os.environ[name]
        for name, value in own.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


@contextmanager
def _listening(path: str) -> Iterator[socket.socket]:
    """A socket that appears at its place when it takes connections: that tells the daemon that all is loaded."""
    new = Path(f"{path}.new")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with suppress(FileNotFoundError):
            new.unlink()
        listener.bind(str(new))
        new.chmod(_FOR_ALL)
        listener.listen()
        new.replace(path)
        yield listener


@contextmanager
def _ending_at_a_signal() -> Iterator[None]:
    """SIGTERM ends the program, which as process 1 would not hear it; a handler that the program has set itself stays."""
    hears = signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    if hears or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Stopped

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _write_lines_at_once() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(ValueError, OSError):
                stream.flush()

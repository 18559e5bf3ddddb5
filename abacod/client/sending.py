"""What is sent as a message: text, JSON or bytes, from the command line, a file or standard input."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import IOBase
from pathlib import Path
from typing import BinaryIO, Final, Self
from urllib.parse import unquote

from abacod.client.errors import Usage

_PIECE: Final = 65_536
"""What is read from a pipe at a time, in bytes."""


@dataclass(frozen=True, slots=True)
class Message:
    """A body and its content type. A context manager: it closes the file that is sent."""

    content: bytes | Iterable[bytes]
    content_type: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self.content, IOBase):
            self.content.close()


def message(text: str | None, file: str | None, binary: str | None, *, as_json: bool, as_text: bool) -> Message:
    """The message that is given in one of three ways; `-` is standard input.

    Text that is JSON is sent as that JSON, as the old command line did, unless `as_text`.

    Raises:
        Usage: none or several are given; or it is no JSON although it must be.
    """
    if sum(each is not None for each in (text, file, binary)) != 1:
        raise Usage("Give one message: with -m, with -F FILE or with --binary FILE; `-` is standard input.")
    if binary is not None:
        if as_json or as_text:
            raise Usage("--binary goes with neither --json-message nor --text.")
        pieces = _read_on(sys.stdin.buffer) if binary == "-" else _pieces(_opened(binary))
        return Message(pieces, "application/octet-stream")
    if as_json and as_text:
        raise Usage("Give --json-message or --text, not both.")
    body = text if text is not None and text != "-" else read_text("-" if text is not None else str(file))
    if not as_text and (as_json or _is_json(body)):
        if not _is_json(body):
            raise Usage("The message is not JSON.")
        return Message(_encoded(body), "application/json")
    if not body:
        raise Usage("The message is empty.")
    return Message(_encoded(json.dumps({"message": body}, ensure_ascii=False)), "application/json")


def pairs(texts: list[str]) -> list[tuple[str, str]]:
    """The parameters of `-q`: `key=value`, or several joined by `&`. `%26` and its like are decoded, `+` is a plus.

    Raises:
        Usage: something is not `key=value`.
    """
    found = []
    for part in (part for text in texts for part in text.split("&") if part):
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise Usage(f"{part!r} is not KEY=VALUE.")
        found.append((unquote(key), unquote(value)))
    return found


def read_text(file: str) -> str:
    """The text of a file; `-` is standard input. A newline at the very end is not part of it."""
    data = sys.stdin.buffer.read() if file == "-" else _read(file)
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise Usage(
            f"{'Standard input' if file == '-' else file} is not UTF-8 text; use --binary for bytes."
        ) from error


def parse_json(text: str, what: str) -> object:
    """A JSON value.

    Raises:
        Usage: it is none; the message begins with `what`.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Usage(f"{what} is not JSON: {error}.") from error


def _is_json(text: str) -> bool:
    try:
        # NaN and the like are no JSON, though Python takes them.
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(name)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Usage("The message is not UTF-8; use --binary for bytes.") from error


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise Usage(f"Cannot read {file}: {error.strerror}.") from error


def _pieces(file: BinaryIO) -> Iterable[bytes]:
    """What to send of a file: itself if its length is known, for then the server is told."""
    return file if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else _read_on(file)


def _read_on(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _opened(file: str) -> BinaryIO:
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise Usage(f"Cannot read {file}: {error.strerror}.") from error

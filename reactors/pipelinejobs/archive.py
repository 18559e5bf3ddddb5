"""Where a job's products are: `agave://SYSTEM/PATH`, and the paths that jobs get (spec/pipelinejobs 1.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from reactors.pipelinejobs.identifiers import Identifiers, canonical_json
from reactors.pipelinejobs.sessions import session as fresh_session

ROOT: Final = "/products/v2"
"""All generated paths begin with it."""

LONGEST_SESSION: Final = 64
"""In characters; it becomes a part of the name of a directory."""

_SHORTEST_SESSION: Final = 4
_SESSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SYSTEM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_URI: Final = re.compile(r"agave://([^/]*)(.*)", re.DOTALL)


def archive_path(
    identifiers: Identifiers,
    pipeline_uuid: str,
    linkage: Sequence[str],
    data: Mapping[str, Any],
    *,
    instance: str | None,
) -> str:
    """The path for products of a pipeline for the records of `linkage`, UUIDs in any order, made with `data`.

    `instance` is the name of the directory at its end, None if there is none.

    Raises:
        RecursionError: `data` is nested too deeply.
    """
    parts = [
        ROOT,
        pipeline_uuid.replace("-", ""),
        identifiers.hashed(":".join(sorted(linkage))),
        identifiers.hashed(canonical_json(data)),
    ]
    return "/".join(parts if instance is None else [*parts, instance])


def instance(session: str, moment: datetime) -> str:
    """The name of the directory of one run: the session and the time in UTC, `sensible-adder-20190215T213009Z`.

    A session of fewer than 4 characters is replaced by a fresh one.

    Raises:
        ValueError: the session cannot be a part of a directory's name.
    """
    if len(session) < _SHORTEST_SESSION:
        session = fresh_session()
    if len(session) > LONGEST_SESSION or _SESSION.fullmatch(session) is None:
        raise ValueError(
            f"The session {_shown(session)} is no name for a directory: it may have up to {LONGEST_SESSION} letters, digits, "
            "_, - and ., and begins with a letter or digit."
        )
    return f"{session.removesuffix('-')}-{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def clean_path(path: str) -> str:
    """An absolute path on a storage system in its normal form: one slash between parts, no `.`, none at the end.

    Raises:
        ValueError: it is not absolute, has a part `..`, or a character that no name of a file has here.
    """
    if not path.startswith("/"):
        raise ValueError(f"The path {_shown(path)} is not absolute.")
    if ".." in path.split("/"):
        raise ValueError(f"The path {_shown(path)} has a part '..'.")
    if "\0" in path:
        raise ValueError(f"The path {_shown(path)} has a NUL character.")
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"The path {_shown(path)} has a character that UTF-8 cannot say.") from error
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def split_uri(uri: str) -> tuple[str, str]:
    """The storage system and the path, in its normal form, of `agave://SYSTEM/PATH`.

    Raises:
        ValueError: it is no such URI, or its path is not clean.
    """
    found = _URI.fullmatch(uri)
    if found is None or _SYSTEM.fullmatch(found[1]) is None:
        raise ValueError(f"{_shown(uri)} is not of the form agave://SYSTEM/PATH.")
    return found[1], clean_path(found[2] or "/")


def join_uri(system: str, path: str) -> str:
    """`agave://SYSTEM/PATH` for a storage system and an absolute path on it.

    Raises:
        ValueError: the path is not clean.
    """
    return f"agave://{system}{clean_path(path)}"


def _shown(text: str) -> str:
    """Short enough and safe for a log."""
    return repr(text if len(text) <= LONGEST_SESSION else text[:LONGEST_SESSION] + "…")

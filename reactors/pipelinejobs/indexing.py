"""Which files of an archive are indexed, and as what (spec/pipelinejobs 6.2).

Patterns come from users. They run on RE2, whose time grows only with the text.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import re2

from reactors.pipelinejobs.archive import clean_path
from reactors.pipelinejobs.validation import check

DEFAULT_LEVEL: Final = "1"
"""The processing level of files about which nobody says another."""

MANY_FILTERS: Final = 100
MANY_PATTERNS: Final = 512
"""From so many on there is a warning."""

_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """Files whose names match any of the patterns, all files without one, and what is to be recorded of them.

    A `level` of None leaves it to the other requests for the same file. The sources (`derived_from`, `derived_using`) and
    `generated_by` are as they were given.
    """

    patterns: tuple[str, ...] = ()
    level: str | None = None
    note: str | None = None
    fixity: bool = True
    derived_from: tuple[str, ...] = ()
    derived_using: tuple[str, ...] = ()
    generated_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileToIndex:
    """A file of the archive, and what all requests that match it want."""

    path: str
    level: str
    note: str | None
    fixity: bool
    derived_from: tuple[str, ...]
    derived_using: tuple[str, ...]
    generated_by: tuple[str, ...]


def index_requests(
    filters: Sequence[Any] | None,
    level: str = DEFAULT_LEVEL,
    *,
    archive_patterns: Sequence[Any] = (),
    product_patterns: Sequence[Any] = (),
) -> tuple[IndexRequest, ...]:
    """What a message asks for: texts, which are percent-encoded patterns at `level`, and objects.

    Without filters it is what the job was made with, where patterns stand as they are; without that, all files.

    Raises:
        ValueError: one of them is no such text or object, or `level` is no processing level.
    """
    check("processing_level", level, at="level")
    if filters:
        return _read("filters", filters, level, encoded=True)
    archive = _read("archive_patterns", archive_patterns, level) or (IndexRequest(level=level),)
    return (*archive, *_read("product_patterns", product_patterns, level))


def warnings(requests: Sequence[IndexRequest]) -> list[str]:
    """What is unusual about them; each is a line for the log."""
    patterns = sum(len(request.patterns) for request in requests)
    found = []
    if len(requests) >= MANY_FILTERS:
        found.append(f"{len(requests)} filters are many; indexing may take long.")
    if patterns >= MANY_PATTERNS:
        found.append(f"{patterns} patterns are many; indexing may take long.")
    return found


def select(
    paths: Iterable[str], requests: Sequence[IndexRequest], level: str = DEFAULT_LEVEL
) -> tuple[FileToIndex, ...]:
    """The files that match any of the requests, sorted by their paths, each once.

    Where several match a file, a later level or note stands for an earlier one, and sources add up. `level` is for files of
    which no request names one.

    Raises:
        ValueError: a pattern is none for RE2; the text names it, and the reason.
    """
    finders = [(_finder(request.patterns), request) for request in requests]
    found = []
    for path in sorted(set(paths)):
        name = posixpath.basename(path).encode(errors="replace").decode()
        wanted = [request for finds, request in finders if finds(name)]
        if wanted:
            found.append(_merged(path, wanted, level))
    return tuple(found)


def located_source(source: str, archive_path: str) -> str:
    """A source as it is looked for: `./PATH` is under the archive path, all else stays as it is.

    Raises:
        ValueError: the path would lead elsewhere.
    """
    if not source.startswith("./"):
        return source
    return clean_path(f"{archive_path}/{source}")


def _read(field: str, items: Sequence[Any], level: str, *, encoded: bool = False) -> tuple[IndexRequest, ...]:
    check("index_filters", list(items) if isinstance(items, tuple) else items, at=field)
    texts = [item for item in items if isinstance(item, str)]
    patterns = tuple(_decoded(field, text) if encoded else text for text in texts)
    requests = [IndexRequest(patterns, level)] if patterns else []
    requests += [_request(item, level) for item in items if isinstance(item, Mapping)]
    return tuple(requests)


def _request(item: Mapping[str, Any], level: str) -> IndexRequest:
    is_product = "derived_from" in item
    own_level = item.get("level", item.get("processing_level"))
    return IndexRequest(
        patterns=(*item.get("patterns", ()), *item.get("filters", ())),
        level=own_level or (None if is_product else level),
        note=item.get("note"),
        fixity=item.get("fixity", not is_product),
        derived_from=tuple(item.get("derived_from", ())),
        derived_using=tuple(item.get("derived_using", ())),
        generated_by=tuple(item.get("generated_by", ())),
    )


def _decoded(field: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError as error:
        raise ValueError(f"The field {field} has {_shown(text)}, which is not UTF-8 when it is decoded.") from error


def _merged(path: str, wanted: Sequence[IndexRequest], level: str) -> FileToIndex:
    notes = [request.note for request in wanted if request.note is not None]
    levels = [level, *(request.level for request in wanted if request.level is not None)]
    return FileToIndex(
        path,
        level=levels[-1],
        note=notes[-1] if notes else None,
        fixity=any(request.fixity for request in wanted),
        derived_from=_united(request.derived_from for request in wanted),
        derived_using=_united(request.derived_using for request in wanted),
        generated_by=_united(request.generated_by for request in wanted),
    )


def _united(lists: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for listed in lists for each in listed))


def _finder(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether any of the patterns is found in a name."""
    if not patterns:
        return lambda _: True
    each = [_compiled(pattern) for pattern in patterns]
    # `\Q` reaches beyond the group around it, into the next pattern.
    if not any("\\Q" in pattern for pattern in patterns):
        try:
            together = [_compiled("|".join(f"(?:{pattern})" for pattern in patterns))]
        except ValueError:  # all of them together are too large
            together = each
        each = together
    return lambda name: any(pattern.search(name) is not None for pattern in each)


def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    # Nobody reads what groups hold; with thousands of them in each other, keeping that takes gigabytes.
    options.never_capture = True
    try:
        return re2.compile(pattern, options)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{_shown(pattern)} is no pattern for RE2: it has a character that UTF-8 cannot say"
        ) from error
    except re2.error as error:
        reason = error.args[0] if error.args else "it is malformed"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"{_shown(pattern)} is no pattern for RE2: {_shown(text)[1:-1]}") from error


def _shown(text: str) -> str:
    """Short enough and safe for a log."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")

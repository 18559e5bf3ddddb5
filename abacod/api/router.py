"""Which route a request means.

A router of our own, because Abaco's addresses need three things together that the framework's does not do: runs of slashes
count as one, without a redirect, which clients do not repeat a POST for; fixed words win over identifiers even for the
methods they lack, so that `PUT /actors/aliases` is 405; and one table serves three prefixes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from abacod.api.calls import DIALECTS, PLAIN, Dialect, Route
from abacod.errors import BadRequest, MethodNotAllowed, NoSuchRoute

Found = tuple[Route, Dialect, Mapping[str, str]]
"""A route, the dialect to answer in, and the path's parameters."""

# Paths found last, which are asked for again and again; and how long such are at most, in characters.
_KEPT: Final = 1024
_USUAL: Final = 200


@dataclass(slots=True)
class _Node:
    words: dict[str, _Node] = field(default_factory=dict)
    parameter: tuple[str, _Node] | None = None
    routes: dict[str, Route] = field(default_factory=dict)


class Router:
    """Finds routes in two tables: those of the actors API, under each of its prefixes, and all others."""

    def __init__(self, actor_routes: Sequence[Route], other_routes: Sequence[Route]) -> None:
        self._actors = _tree(actor_routes)
        self._others = _tree(other_routes)
        self._found = lru_cache(_KEPT)(self._find)

    def find(self, method: str, raw_path: str) -> Found:
        """The route for a path as it came over the wire, the dialect to answer in, and the path's parameters.

        Raises:
            NoSuchRoute: nothing is at this path.
            MethodNotAllowed: something is, but not for this method.
            BadRequest: the path is not UTF-8.
        """
        return self._found(method, raw_path) if len(raw_path) <= _USUAL else self._find(method, raw_path)

    def _find(self, method: str, raw_path: str) -> Found:
        try:
            segments = [unquote(part, errors="strict") for part in raw_path.split("/") if part]
        except UnicodeDecodeError as error:
            raise BadRequest("The path is not valid UTF-8 once percent-decoded.") from error
        for dialect in DIALECTS:
            prefix = dialect.prefix.strip("/").split("/")
            if segments[: len(prefix)] == prefix:
                return self._at(self._actors, method, segments[len(prefix) :], dialect)
        return self._at(self._others, method, segments, PLAIN)

    @staticmethod
    def _at(root: _Node, method: str, segments: list[str], dialect: Dialect) -> Found:
        node = root
        parameters: dict[str, str] = {}
        for segment in segments:
            if segment in node.words:
                node = node.words[segment]
            elif node.parameter:
                name, node = node.parameter
                parameters[name] = segment
            else:
                raise NoSuchRoute
        if not node.routes:
            raise NoSuchRoute
        route = node.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            raise MethodNotAllowed(allowed=node.routes)
        return route, dialect, parameters


def _tree(routes: Sequence[Route]) -> _Node:
    root = _Node()
    for route in routes:
        node = root
        for part in route.path.split("/"):
            if part.startswith("{"):
                name = part.strip("{}")
                node.parameter = node.parameter or (name, _Node())
                node = node.parameter[1]
            elif part:
                node = node.words.setdefault(part, _Node())
        node.routes[route.method] = route
    return root

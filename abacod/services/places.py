"""How many workers the machine and its queues have place for (docs/reference/http-api.md, Workers). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from abacod.config_workers import WorkerSettings


class Places:
    """The places that are taken at one moment, and what that leaves."""

    def __init__(self, settings: WorkerSettings, taken: Iterable[str]) -> None:
        """`taken` has the queue of each worker."""
        self._settings = settings
        self._taken = Counter(taken)

    def fits(self, queue: str) -> bool:
        """Whether one more worker of the queue has a place."""
        return not self._host_is_full and not self._is_full(queue)

    def freed_by(self, leaving: str, wanted: str) -> bool:
        """Whether a worker of the queue `wanted` lacks a place, and the end of one of the queue `leaving` brings that nearer."""
        if self._is_full(wanted):
            return leaving == wanted
        return self._host_is_full

    @property
    def _host_is_full(self) -> bool:
        return self._taken.total() >= self._settings.max_per_host

    def _is_full(self, queue: str) -> bool:
        return self._taken[queue] >= self._settings.queue_limit(queue)

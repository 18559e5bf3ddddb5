"""Old workers end while they have nothing to do (spec/actors-api 6.4); the next message starts a new one."""

from __future__ import annotations

from datetime import timedelta

from abacod.clock import Clock
from abacod.config_workers import WorkerSettings
from abacod.models.states import WorkerStatus
from abacod.queue.mailboxes import Mailboxes
from abacod.services.pools import Pools


class Retirement:
    """Applies `workers.ttl_seconds`."""

    def __init__(self, mailboxes: Mailboxes, pools: Pools, settings: WorkerSettings, clock: Clock) -> None:
        self._mailboxes = mailboxes
        self._pools = pools
        self._settings = settings
        self._clock = clock

    async def run_once(self) -> None:
        """One look at all workers."""
        if self._settings.ttl_seconds < 0:
            return
        born_before = self._clock.now() - timedelta(seconds=self._settings.ttl_seconds)
        for worker in self._pools.all_workers():
            idle = worker.status is WorkerStatus.READY and not len(self._mailboxes.of(worker.actor.id))
            if idle and worker.create_time <= born_before:
                worker.stop()

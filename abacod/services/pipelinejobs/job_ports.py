"""What built-in reactors reach of jobs, and of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abacod.errors import AbacoError
from abacod.services.pipelinejobs.job_setup import JobSetup
from abacod.services.pipelinejobs.jobs import Jobs
from abacod.services.pipelinejobs.messenger import Messenger
from abacod.services.pipelinejobs.ports import Asking
from abacod.services.pipelinejobs.storable import storable
from reactors.pipelinejobs.records import Job
from reactors.ports import Handled, JobRequest, Outgoing, Refused, SetUp


class JobsPort:
    """See `reactors.ports.Jobs`."""

    def __init__(self, asking: Asking, jobs: Jobs, setup: JobSetup) -> None:
        self._asking = asking
        self._jobs = jobs
        self._setup = setup

    def handle(self, uuid: str, event: str, token: str | None, data: Mapping[str, Any] | None) -> Handled:
        """See the port."""
        asking = self._asking
        try:
            kept = None if data is None else storable("data", data)
        except AbacoError as error:
            raise Refused(error.message) from error
        return asking.ask(
            lambda: self._jobs.handle(asking.tenant, asking.username, uuid, event, token, kept, asking.execution_id),
            "beginning",
        )

    def get(self, uuid: str) -> Job:
        """See the port."""
        return self._asking.ask(lambda: self._jobs.get(self._asking.tenant, uuid))

    def set_up(self, request: JobRequest) -> SetUp:
        """See the port."""
        asking = self._asking
        return asking.ask(lambda: self._setup.set_up(asking.tenant, asking.username, request, asking.execution_id))

    def cancel(self, uuid: str, token: str) -> None:
        """See the port."""
        asking = self._asking
        asking.ask(lambda: self._jobs.cancel(asking.tenant, asking.username, uuid, token))


class MessengerPort:
    """See `reactors.ports.Messenger`."""

    def __init__(self, asking: Asking, messenger: Messenger) -> None:
        self._asking = asking
        self._messenger = messenger
        self._sent = 0

    def send(self, outgoing: Outgoing) -> str:
        """See the port."""
        asking = self._asking
        # Handlers send in the same order when they run again.
        key = f"{asking.execution_id} {self._sent}"
        self._sent += 1
        return asking.ask(
            lambda: self._messenger.send(asking.tenant, asking.username, outgoing, key=key, by_nonce=asking.by_nonce)
        )

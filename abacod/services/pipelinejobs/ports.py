"""What built-in reactors reach of the daemon: the ports of one execution, around the use-cases."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from abacod.errors import AbacoError
from abacod.ids import TenantId, Username
from abacod.runtime.native import Bridge, When
from abacod.services.pipelinejobs.pipelines import Pipelines
from reactors.pipelinejobs.records import Pipeline
from reactors.ports import Refused, Written

T = TypeVar("T")


class Asking:
    """How the ports of one execution ask: for its tenant, as its user."""

    def __init__(
        self, bridge: Bridge, tenant: TenantId, username: Username, execution_id: str, *, by_nonce: bool
    ) -> None:
        self.tenant = tenant
        self.username = username
        self.execution_id = execution_id
        self.by_nonce = by_nonce
        self._bridge = bridge

    def ask(self, make: Callable[[], Coroutine[Any, Any, T]], when: When = "begun") -> T:
        """Wait for what `make` makes.

        Raises:
            Refused: with the text of the error.
        """
        try:
            return self._bridge.call(make, when)
        except AbacoError as error:
            raise Refused(error.message) from error

    def check(self) -> None:
        """Do nothing, for ports that need not ask.

        Raises:
            TimeOver: the execution has been settled.
        """
        self._bridge.check()


class PipelinesPort:
    """See `reactors.ports.Pipelines`."""

    def __init__(self, asking: Asking, pipelines: Pipelines) -> None:
        self._asking = asking
        self._pipelines = pipelines

    def create(self, document: Mapping[str, Any]) -> Written:
        """See the port."""
        asking = self._asking
        return asking.ask(lambda: self._pipelines.create(asking.tenant, asking.username, document))

    def update(self, uuid: str, changes: Mapping[str, Any], token: str) -> Written:
        """See the port."""
        asking = self._asking
        return asking.ask(lambda: self._pipelines.update(asking.tenant, asking.username, uuid, changes, token))

    def replace(self, document: Mapping[str, Any], token: str, uuid: str | None = None) -> Written:
        """See the port."""
        asking = self._asking
        return asking.ask(lambda: self._pipelines.replace(asking.tenant, asking.username, document, token, uuid))

    def retire(self, uuid: str, token: str, *, force: bool = False) -> None:
        """See the port."""
        asking = self._asking
        if force:
            asking.ask(lambda: self._pipelines.delete(asking.tenant, asking.username, uuid, token))
        else:
            self._set_visible(uuid, token, visible=False)

    def restore(self, uuid: str, token: str) -> None:
        """See the port."""
        self._set_visible(uuid, token, visible=True)

    def get(self, uuid: str) -> Pipeline:
        """See the port."""
        return self._asking.ask(lambda: self._pipelines.get(self._asking.tenant, uuid))

    def of_app(self, app_id: str) -> Pipeline:
        """See the port."""
        return self._asking.ask(lambda: self._pipelines.of_app(self._asking.tenant, app_id))

    def _set_visible(self, uuid: str, token: str, *, visible: bool) -> None:
        asking = self._asking
        asking.ask(lambda: self._pipelines.set_visible(asking.tenant, asking.username, uuid, token, visible=visible))

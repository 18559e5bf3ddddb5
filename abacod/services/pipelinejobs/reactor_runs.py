"""One execution of a built-in reactor: its message, its ports, its handler's end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from abacod.ids import ActorId
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.runtime.native import Bridge
from abacod.runtime.run import RunSpec
from abacod.services.pipelinejobs.ports import Asking
from abacod.store import permissions
from abacod.store.database import Database
from reactors.ports import Exit, Handler, Invocation, Ports

MakePorts = Callable[[Asking], Ports]


class ReactorRuns:
    """Runs handlers; called in a thread of the execution's own."""

    def __init__(
        self,
        database: Database,
        make_ports: MakePorts,
        *,
        public_url: str,
        nickname: Callable[[], str],
        max_message_bytes: int,
    ) -> None:
        """`nickname` makes a session's name for an execution; of a binary message `max_message_bytes` are read."""
        self._max_message_bytes = max_message_bytes
        self._database = database
        self._make_ports = make_ports
        self._public_url = public_url
        self._nickname = nickname

    def run(
        self,
        handler: Handler,
        spec: RunSpec,
        bridge: Bridge,
        write: Callable[[str], None],
        answer: Callable[[bytes], None],
    ) -> int:
        """Let the handler handle the message; its exit code."""
        delivery = spec.delivery
        asking = Asking(bridge, spec.tenant, delivery.username, spec.execution_id, by_nonce=delivery.by_nonce)
        actor_url = f"{self._public_url}/actors/v2/{spec.actor_id}"
        call = Invocation(
            actor_id=spec.actor_id,
            execution_id=spec.execution_id,
            actor_url=actor_url,
            execution_url=f"{actor_url}/executions/{spec.execution_id}",
            username=spec.delivery.username,
            nickname=self._nickname(),
            message=_text(spec.delivery.text, spec.binary_message, self._max_message_bytes),
            parameters={
                name: value for name, value in spec.delivery.parameters.items() if not name.startswith("_abaco_")
            },
            write=write,
            answer=answer,
            by_nonce=spec.delivery.by_nonce,
            may_update=not delivery.by_nonce
            and asking.ask(lambda: self._may_update(asking, spec.actor_id), "any time"),
        )
        try:
            handler(call, self._make_ports(asking))
        except Exit as end:
            return end.code
        return 0

    async def _may_update(self, asking: Asking, actor_id: ActorId) -> bool:
        level = await self._database.glance(
            lambda tx: permissions.level_of(tx, Subject.actor(actor_id), asking.username)
        )
        return level >= Level.UPDATE


def _text(text: str | None, binary: Path | None, limit: int) -> str:
    """The message as text; a binary one up to what fits."""
    if text is not None or binary is None:
        return text or ""
    with binary.open("rb") as file:
        return file.read(limit).decode(errors="replace")

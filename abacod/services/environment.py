"""What a container learns from its environment, and as whom and within which limits it runs (spec/actors-api 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

from abacod.config import RunSettings
from abacod.ids import WorkerId
from abacod.models.actor import Actor, parse_memory
from abacod.models.execution import Execution
from abacod.models.message import Queued
from abacod.runtime.run import Delivery, Keep, RunSpec

RESERVED_PREFIX: Final = "_abaco_"
RESERVED_NAMES: Final = frozenset({"MSG", "_actor_configs"})
"""Names that neither a registration nor a query may set (spec/actors-api 3.2)."""

_LASTING: Final = (
    "_abaco_actor_id",
    "_abaco_actor_dbid",
    "_abaco_actor_name",
    "_abaco_worker_id",
    "_abaco_container_repo",
    "_abaco_api_server",
)
"""What is the same for all messages of one worker."""

ValueStyle = Literal["json", "python"]
VALUE_STYLES: Final[tuple[ValueStyle, ...]] = get_args(ValueStyle)


def is_reserved(name: str) -> bool:
    """Whether only the server sets this environment variable."""
    return name.startswith(RESERVED_PREFIX) or name in RESERVED_NAMES


def text_of(value: Any, style: ValueStyle) -> str:
    """A structured value as environment text: strings as they are, others as JSON or as Python literals."""
    if isinstance(value, str):
        return value
    return str(value) if style == "python" else json.dumps(value, ensure_ascii=False)


def environment(
    actor: Actor,
    execution: Execution,
    message: Queued,
    worker_id: WorkerId,
    *,
    api_server: str,
    access_token: str,
    style: ValueStyle,
    configs: str,
) -> Mapping[str, str]:
    """The environment of one run: the actor's defaults, then the message's query parameters, then the context.

    The context is the table of seeds, chapter "Context", completed by spec/actors-api 5.1. `style` is how JSON is written;
    `configs` is the text of `_actor_configs`.
    """
    given = {**actor.definition.default_environment, **message.environment}
    values: dict[str, str] = {name: text_of(value, style) for name, value in given.items() if not is_reserved(name)}
    if message.body is not None:
        values["MSG"] = message.body
        if style == "python" and message.content_type == "application/json":
            values["MSG"] = text_of(json.loads(message.body), style)
    values |= {
        # The documentation writes the name with a hyphen, the reference service with an underscore.
        "_abaco_Content-Type": message.content_type,
        "_abaco_Content_Type": message.content_type,
        "_abaco_execution_id": execution.id,
        "_abaco_actor_id": actor.id,
        "_abaco_actor_dbid": actor.dbid,
        "_abaco_actor_name": actor.definition.name or "None",
        "_abaco_actor_revision": str(execution.revision),
        "_abaco_actor_state": text_of(actor.state, style),
        "_abaco_worker_id": worker_id,
        "_abaco_container_repo": actor.definition.image,
        "_abaco_username": execution.executor,
        "_abaco_api_server": api_server,
        "_abaco_access_token": access_token,
        "_actor_configs": configs,
    }
    return values


def run_spec(
    actor: Actor,
    execution: Execution,
    worker_id: WorkerId,
    variables: Mapping[str, str],
    settings: RunSettings,
    message: Queued,
    binary_message: Path | None,
) -> RunSpec:
    """Everything a runtime needs to run the message."""
    return RunSpec(
        execution_id=execution.id,
        actor_id=actor.id,
        worker_id=worker_id,
        tenant=actor.tenant,
        image=actor.definition.image,
        environment=variables,
        mounts=actor.mounts,
        user=_user(actor, execution),
        memory_bytes=parse_memory(actor.definition.mem_limit or settings.mem_limit),
        nano_cpus=_unless_unlimited(
            settings.max_cpus if actor.definition.max_cpus is None else actor.definition.max_cpus
        ),
        privileged=actor.definition.privileged,
        time_limit=time_limit(settings),
        binary_message=binary_message,
        keep=_keep(actor),
        lasting_environment=_lasting(actor, variables) if actor.has_resident_hint else {},
        delivery=Delivery(message.body, message.environment, execution.executor, message.by_nonce),
    )


def time_limit(settings: RunSettings) -> int | None:
    """How long an execution may run, in seconds; None for as long as it likes."""
    return _unless_unlimited(settings.max_run_seconds)


def _lasting(actor: Actor, variables: Mapping[str, str]) -> Mapping[str, str]:
    given = {name: text for name, text in actor.definition.default_environment.items() if not is_reserved(name)}
    return {**given, **{name: variables[name] for name in _LASTING}}


def _keep(actor: Actor) -> Keep:
    if actor.has_resident_hint:
        return Keep.RESIDENT
    if actor.has_warm_hint:
        return Keep.REUSED
    return Keep.ALWAYS if actor.has_sync_hint else Keep.NOTHING


def _user(actor: Actor, execution: Execution) -> str | None:
    """`uid:gid` in the order of spec/actors-api 5.4; None is the image's own user."""
    if actor.definition.use_container_uid:
        return None
    if actor.definition.run_as_executor and execution.executor_uid is not None:
        return _uid_gid(execution.executor_uid, execution.executor_gid)
    return None if actor.uid is None else _uid_gid(actor.uid, actor.gid)


def _uid_gid(uid: int, gid: int | None) -> str:
    return f"{uid}:{uid if gid is None else gid}"


def _unless_unlimited(limit: int) -> int | None:
    return None if limit < 0 else limit

"""One message into one mailbox: the execution and its message, within a transaction of the caller's."""

from __future__ import annotations

from datetime import datetime

from abacod.errors import ActorShuttingDown
from abacod.ids import ExecutionId, Username, new_execution_id
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.message import Message
from abacod.models.states import ActorStatus, ExecutionStatus
from abacod.store import actors, executions, messages, users
from abacod.store.database import Transaction


def enqueue(
    tx: Transaction,
    actor: Actor,
    executor: Username,
    message: Message,
    received: datetime,
    execution_id: ExecutionId | None = None,
) -> Execution:
    """Record an execution of the actor, and put its message at the end of the mailbox.

    Whoever calls rings the mailbox once the transaction is on disk, and not before.

    Raises:
        ActorShuttingDown: the actor is being deleted, or is gone.
    """
    status = actors.status_of(tx, actor.id)
    if status is None or status is ActorStatus.SHUTTING_DOWN:
        raise ActorShuttingDown
    account = users.find(tx, actor.tenant, executor) if actor.definition.run_as_executor else None
    execution = Execution(
        id=execution_id or new_execution_id(),
        actor_id=actor.id,
        tenant=actor.tenant,
        executor=executor,
        status=ExecutionStatus.SUBMITTED,
        message_received_time=received,
        revision=actor.revision,
        executor_uid=account.uid if account else None,
        executor_gid=account.gid if account else None,
    )
    executions.insert(tx, execution)
    messages.append(tx, actor.id, execution.id, message)
    return execution

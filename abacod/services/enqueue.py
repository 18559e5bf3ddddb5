"""Messages into mailboxes: executions and their messages, within a transaction of the caller's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from abacod.errors import AbacoError, ActorShuttingDown, MailboxBusy
from abacod.ids import ActorId, ExecutionId, Username, WorkerId, new_execution_id
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.message import Message, Queued
from abacod.models.states import ActorStatus, ExecutionStatus
from abacod.store import actors, executions, messages, users
from abacod.store.database import Transaction

# A synchronous message is refused when more than that many messages wait (seeds: Synchronous Messaging).
_MOST_WAITING: Final = 3


@dataclass(frozen=True, slots=True)
class Attention:
    """What of an actor's messages is not waiting any more: those in hand, and as many as workers have nothing to do."""

    in_hand: Collection[ExecutionId]
    idle_workers: int


@dataclass(frozen=True, slots=True)
class Sending:
    """A message for an actor's mailbox; `synchronous` is set for one that is refused if too many wait.

    `worker_id` is that of a worker that is reserved for it: then it runs as soon as it is stored.
    """

    actor: Actor
    executor: Username
    message: Message
    received: datetime
    execution_id: ExecutionId
    synchronous: Attention | None = None
    worker_id: WorkerId | None = None


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
    sending = Sending(actor, executor, message, received, execution_id or new_execution_id())
    (result,) = enqueue_all(tx, [sending])
    if isinstance(result, AbacoError):
        raise result
    return result.execution


def enqueue_all(tx: Transaction, sendings: Sequence[Sending]) -> list[Queued | AbacoError]:
    """As `enqueue`, for many messages in their order; each as its mailbox hands it out, or why it is refused.

    `ActorShuttingDown`, and for synchronous messages `MailboxBusy` (spec/actors-api 3.4).
    """
    statuses = actors.statuses_of(tx, {each.actor.id for each in sendings})
    before: Counter[ActorId] = Counter()
    refused: dict[int, AbacoError] = {}
    accepted = []
    for number, each in enumerate(sendings):
        if statuses.get(each.actor.id, ActorStatus.SHUTTING_DOWN) is ActorStatus.SHUTTING_DOWN:
            refused[number] = ActorShuttingDown()
        elif each.synchronous is not None and _is_busy(tx, each.actor.id, each.synchronous, before[each.actor.id]):
            refused[number] = MailboxBusy()
        else:
            before[each.actor.id] += each.worker_id is None
            accepted.append((_execution(tx, each), each.message))
    executions.insert(tx, *(execution for execution, _ in accepted))
    queued = iter(messages.append_all(tx, accepted))
    return [refused.get(number) or next(queued) for number in range(len(sendings))]


def _is_busy(tx: Transaction, actor_id: ActorId, attention: Attention, before: int) -> bool:
    waiting = messages.waiting_count(tx, actor_id, attention.in_hand) + before
    return waiting - attention.idle_workers > _MOST_WAITING


def _execution(tx: Transaction, sending: Sending) -> Execution:
    actor = sending.actor
    account = users.find(tx, actor.tenant, sending.executor) if actor.definition.run_as_executor else None
    return Execution(
        id=sending.execution_id,
        actor_id=actor.id,
        tenant=actor.tenant,
        executor=sending.executor,
        status=ExecutionStatus.SUBMITTED if sending.worker_id is None else ExecutionStatus.RUNNING,
        message_received_time=sending.received,
        worker_id=sending.worker_id,
        start_time=None if sending.worker_id is None else sending.received,
        revision=actor.revision,
        executor_uid=account.uid if account else None,
        executor_gid=account.gid if account else None,
    )

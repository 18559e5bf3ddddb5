"""Accept messages: check, record and enqueue them; count and empty mailboxes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Callable, Mapping
from dataclasses import replace
from functools import partial
from io import BufferedWriter
from pathlib import Path

from abacod.clock import Clock
from abacod.errors import InvalidField, InvalidMessage, StorageUnavailable, TooLarge
from abacod.ids import ActorId, ExecutionId, new_execution_id
from abacod.models.actor import Actor
from abacod.models.execution import Execution
from abacod.models.message import BINARY_OMITTED, MAX_TEXT_BYTES, Message
from abacod.models.user import Caller
from abacod.queue.mailboxes import Mailboxes
from abacod.services.enqueue import Attention, Sending, enqueue_all
from abacod.services.environment import is_reserved
from abacod.services.events import Events
from abacod.services.news import News
from abacod.services.registration import environment_problem
from abacod.store import executions, messages
from abacod.store.database import Database, Transaction


class Messages:
    """The use-cases of mailboxes."""

    def __init__(
        self,
        database: Database,
        mailboxes: Mailboxes,
        clock: Clock,
        events: Events,
        *,
        news: News,
        messages_dir: Path,
        max_binary_bytes: int,
    ) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._clock = clock
        self._events = events
        self._news = news
        self._messages_dir = messages_dir
        self._max_binary_bytes = max_binary_bytes

    async def send(self, caller: Caller, actor: Actor, message: Message, *, synchronous: bool = False) -> Execution:
        """Put a text or JSON message into the actor's mailbox; returns once that is on disk.

        The sender of a `synchronous` message is going to wait for its answer (`Results.answer`).

        Raises:
            MailboxBusy: the message is synchronous, and more than three wait already (spec/actors-api 3.4).
            TooLarge: the text does not fit into a container's environment (spec/decisions), and the actor runs in one.
            InvalidMessage: the text has a NUL character, which no environment can hold.
            InvalidField: a query parameter cannot be an environment variable.
            ActorShuttingDown: the actor is being deleted.
        """
        text = message.body or ""
        if len(text.encode()) > MAX_TEXT_BYTES and not actor.is_native:
            raise TooLarge(
                f"The message is larger than the {MAX_TEXT_BYTES} bytes that fit into a container's environment; send it as "
                "application/octet-stream instead."
            )
        if "\0" in text:
            raise InvalidMessage("The message contains a NUL character; send it as application/octet-stream instead.")
        return await self._accept(caller, actor, message, new_execution_id(), synchronous=synchronous)

    async def send_binary(
        self,
        caller: Caller,
        actor: Actor,
        body: AsyncIterable[bytes],
        variables: Mapping[str, str],
        *,
        announced_bytes: int | None = None,
        synchronous: bool = False,
    ) -> Execution:
        """As `send`, for bytes of any size up to the setting, which go to a file and never lie in memory as a whole.

        `announced_bytes` is the length the sender named, if any: too large a message is refused before it is sent.
        """
        if (announced_bytes or 0) > self._max_binary_bytes:
            raise self._too_large()
        execution_id = new_execution_id()
        path = self._messages_dir / execution_id
        message = Message("application/octet-stream", None, BINARY_OMITTED, variables)
        _check_variables(variables)
        try:
            await self._write_file(path, body)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        try:
            return await self._accept(caller, actor, message, execution_id, synchronous=synchronous)
        except Exception:
            # Not when cancelled: the message is recorded nevertheless.
            path.unlink(missing_ok=True)
            raise

    def waiting(self, actor: Actor) -> int:
        """How many messages wait, without those being executed."""
        return len(self._mailboxes.of(actor.id))

    async def purge(self, actor: Actor) -> None:
        """Empty the mailbox; the executions of its messages end in ERROR (spec/actors-api 3.3)."""
        now = self._clock.now()

        def empty(tx: Transaction) -> tuple[list[ExecutionId], bool]:
            removed = messages.remove_waiting(tx, actor.id)
            for execution_id in removed:
                executions.fail(tx, execution_id, {"reason": "The mailbox was purged."}, now, None)
            return removed, self._events.note_ends(tx, actor.id, removed)

        removed = await asyncio.shield(self._dropped(empty, actor.id))
        for execution_id in removed:
            (self._messages_dir / execution_id).unlink(missing_ok=True)

    async def _accept(
        self, caller: Caller, actor: Actor, message: Message, execution_id: ExecutionId, *, synchronous: bool
    ) -> Execution:
        _check_variables(message.environment)
        # Its sender has no answer before it has run, so nothing is promised yet of a message whose start a crash may hit.
        mailbox = self._mailboxes.of(actor.id)
        reservation = mailbox.reserve() if synchronous and actor.has_resident_hint else None
        sending = Sending(
            actor,
            caller.username,
            replace(message, by_nonce=True) if caller.by_nonce else message,
            self._clock.now(),
            execution_id,
            synchronous=Attention(mailbox.in_hand, mailbox.takers) if synchronous else None,
            worker_id=None if reservation is None else reservation.worker_id,
        )
        # A client that hangs up between the commit and the bell must not leave a message that nobody was told of.
        if synchronous:
            self._news.expect(execution_id)
        try:
            if reservation is None:
                queued = await self._database.write_together(enqueue_all, sending, after=self._mailboxes.deliver)
            else:
                queued = await self._database.write_together(
                    enqueue_all,
                    sending,
                    after=partial(mailbox.hand_over, reservation),
                    failed=reservation.release,
                )
        except BaseException:
            self._news.expect_no_more(execution_id)
            raise
        return queued.execution

    async def _dropped(
        self, empty: Callable[[Transaction], tuple[list[ExecutionId], bool]], actor_id: ActorId
    ) -> list[ExecutionId]:
        removed, told = await self._database.write(empty)
        self._mailboxes.of(actor_id).forget(removed)
        self._news.tell_all(removed)
        if told:
            self._events.wake(actor_id)
        return removed

    def _too_large(self) -> TooLarge:
        return TooLarge(f"Message exceeds max content length of: {self._max_binary_bytes}")

    async def _write_file(self, path: Path, body: AsyncIterable[bytes]) -> None:
        size = 0
        try:
            with path.open("xb") as file:
                async for chunk in body:
                    size += len(chunk)
                    if size > self._max_binary_bytes:
                        raise self._too_large()
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_make_durable, file)
        except ConnectionError:
            raise  # the sender's end of the line, not our disk
        except OSError as error:
            raise StorageUnavailable(f"The message cannot be written at the moment: {error.strerror}.") from error


def _make_durable(file: BufferedWriter) -> None:
    """Bring the file and its name to the disk; containers under any uid may read it."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())
    directory = os.open(Path(file.name).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _check_variables(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        if is_reserved(name):
            continue  # ignored, not refused (spec/actors-api 3.2)
        if problem := environment_problem(name, value):
            raise InvalidField(f"Invalid query parameter {name!r}: {problem}.")

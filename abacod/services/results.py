"""Results of executions, and the answer to a synchronous message."""

from __future__ import annotations

from abacod.clock import Clock
from abacod.errors import Stopping, SynchronousTimeout
from abacod.ids import ActorId, ExecutionId
from abacod.models.execution import Execution
from abacod.services.executions import Executions
from abacod.services.news import Answer, News, Reply
from abacod.store import executions, results
from abacod.store.database import Database, Transaction


class Results:
    """The use-cases of results."""

    def __init__(
        self, database: Database, shown: Executions, news: News, clock: Clock, *, synchronous_seconds: float
    ) -> None:
        """`synchronous_seconds` is how long the sender of a synchronous message waits."""
        self._database = database
        self._executions = shown
        self._news = news
        self._clock = clock
        self._synchronous_seconds = synchronous_seconds

    async def waiting(self, actor_id: ActorId, execution_id: ExecutionId) -> bool:
        """Whether there is a result to fetch; it stays.

        Raises:
            ExecutionNotFound: the actor has no such execution.
        """
        now = self._clock.now()

        def look(tx: Transaction) -> bool:
            executions.get(tx, actor_id, execution_id)
            return results.waiting(tx, execution_id, now)

        return await self._database.read(look)

    async def pop(self, actor_id: ActorId, execution_id: ExecutionId) -> bytes | None:
        """Take the oldest result; nobody else gets it. None if there is none now (spec/actors-api 4.5).

        Raises:
            ExecutionNotFound: the actor has no such execution.
        """
        # Clients ask until nothing comes any more, and an answer without a result need not wait for the disk.
        if not await self.waiting(actor_id, execution_id):
            return None
        now = self._clock.now()
        return await self._database.write(lambda tx: results.pop(tx, execution_id, now))

    async def answer(self, execution: Execution) -> Answer:
        """Wait for the execution's first result, or for its end and then its log (spec/actors-api 3.4).

        Raises:
            SynchronousTimeout: neither came in time; the execution goes on.
            Stopping: the daemon stops; the execution is kept.
        """
        with self._news.answer_to(execution.id) as reply:
            limit = self._clock.alarm(self._synchronous_seconds, reply.give_up)
            try:
                return await self._first(execution, reply)
            finally:
                limit.cancel()

    async def _first(self, execution: Execution, reply: Reply) -> Answer:
        looked = reply.from_the_start
        while True:
            reply.clear()
            answer = reply.answer or (None if looked else await self._found(execution))
            looked = False
            if answer is not None:
                return answer
            if reply.too_late:
                raise SynchronousTimeout(result={"execution_id": execution.id})
            try:
                await reply.wait()
            except Stopping as error:
                raise Stopping(result={"execution_id": execution.id}) from error

    async def _found(self, execution: Execution) -> Answer | None:
        """The answer as the database has it, None if there is none yet."""
        # The status before the results: an ended execution gets no more of them.
        ended = (await self._executions.get(execution.actor_id, execution.id)).status.ended
        result = await self.pop(execution.actor_id, execution.id)
        if result is None and not ended:
            return None
        return Answer(result, await self._executions.log(execution.actor_id, execution.id) if result is None else "")

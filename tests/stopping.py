"""A fake runtime that stands still at a point of a run, for tests that crash the daemon right there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from abacod.ids import ExecutionId
from abacod.runtime.run import Outcome, RunSink, RunSpec
from tests.fakes import FakeEngine, FakeRuntime

Point = Literal["before the run", "before starting()", "after starting()", "running", "ended", "discard"]


class StoppingRuntime(FakeRuntime):
    """Stops for ever at one point of the next run, so that a test can crash the daemon right there."""

    def __init__(self, engine: FakeEngine, **more: Any) -> None:
        super().__init__(engine, **more)
        self.stop_at: Point | None = None
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def run(self, spec: RunSpec, sink: RunSink) -> Outcome:
        await self.at("before the run")
        outcome = await super().run(spec, _StoppingSink(self, sink))
        await self.at("ended")
        return outcome

    async def discard(self, execution_id: ExecutionId) -> None:
        await self.at("discard")
        await super().discard(execution_id)

    async def at(self, point: Point) -> None:
        """Here is this point."""
        if self.stop_at == point:
            self.reached.set()
            await self.go_on.wait()


class _StoppingSink:
    def __init__(self, runtime: StoppingRuntime, sink: RunSink) -> None:
        self._runtime = runtime
        self._sink = sink

    async def starting(self) -> None:
        await self._runtime.at("before starting()")
        await self._sink.starting()
        await self._runtime.at("after starting()")

    async def log(self, data: bytes) -> None:
        await self._sink.log(data)
        await self._runtime.at("running")

    async def log_restarts(self) -> None:
        await self._sink.log_restarts()

    async def results(self, data: Sequence[bytes]) -> None:
        await self._sink.results(data)

    def answer(self, data: bytes) -> None:
        self._sink.answer(data)

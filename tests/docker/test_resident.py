"""Processes that stay and are handed one message after the other."""

from __future__ import annotations

import asyncio
import hashlib
import json
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

import reactors
from abacod.clock import SystemClock
from abacod.config import RunSettings
from abacod.config_workers import WorkerSettings
from abacod.errors import IllegalTransition, RunRejected
from abacod.ids import new_execution_id, new_worker_id
from abacod.models.actor import Mount
from abacod.runtime.resident.making import RESIDENT_LABEL
from abacod.runtime.resident.runtime import ResidentRuntime
from abacod.runtime.run import MAX_RESULT_BYTES, Keep, Outcome, RunSpec
from tests.docker.conftest import Docker
from tests.docker_images import engine
from tests.fakes import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.timeout(90)]

SDK: Final = Path(reactors.__file__).parent

# What a process does that takes part without the SDK: it answers with what the message says, byte for byte.
RAW: Final = """
import os, socket
path = os.environ["_abaco_resident_socket"]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path + "x")
listener.listen()
os.rename(path + "x", path)
while True:
    connection, _ = listener.accept()
    while True:
        data = b""
        while b"\\r\\n\\r\\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                break
            data += piece
        if not data:
            break
        head, _, body = data.partition(b"\\r\\n\\r\\n")
        length = [int(line.split(b":")[1]) for line in head.split(b"\\r\\n") if line.startswith(b"Content-Length")][0]
        while len(body) < length:
            body += connection.recv(65536)
        connection.sendall(body)
        if b"close" in body.lower() or b"HTTP/1.0" in body:
            break
    connection.close()
"""


@dataclass
class Bench:
    """A runtime whose workers have resident processes."""

    docker: Docker
    runtime: ResidentRuntime
    make: Callable[..., ResidentRuntime]
    image: str

    def spec(self, program: str, **more: Any) -> RunSpec:
        """The first message of a worker whose program is Python text."""
        lasting = {"PROGRAM": textwrap.dedent(program), "PYTHONPATH": "/sdk", "_abaco_actor_id": "actor"}
        return self.docker.spec(
            "",
            image=self.image,
            keep=Keep.RESIDENT,
            lasting_environment=lasting,
            mounts=tuple(Mount(str(SDK / name), f"/sdk/reactors/{name}", "ro") for name in ("__init__.py", "runtime")),
            **{"environment": {**lasting, "MSG": "hello"}, **more},
        )

    async def run(self, spec: RunSpec, message: str = "", **more: Any) -> tuple[Outcome, RecordingSink]:
        """Send the worker of `spec` a message."""
        spec = replace(spec, execution_id=new_execution_id(), **more)
        spec = replace(spec, environment={**spec.environment, "MSG": message, "_abaco_execution_id": spec.execution_id})
        sink = RecordingSink()
        outcome = await self.runtime.run(spec, sink)
        await self.runtime.discard(spec.execution_id)
        return outcome, sink

    async def containers(self) -> dict[str, str]:
        """The states of the containers by id."""
        here = engine()
        try:
            with here.client() as client:
                label = f'{{"label": ["abacod.instance={self.docker.instance}", "{RESIDENT_LABEL}"]}}'
                return {each.id: each["State"] for each in await client.containers.list(all=True, filters=label)}
        finally:
            await here.close()


@pytest.fixture
async def bench(docker: Docker, python_image: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:

        def make(**workers: Any) -> ResidentRuntime:
            containers = docker.make()
            runtime = ResidentRuntime(
                containers,
                containers,
                WorkerSettings(**workers),
                RunSettings(stop_grace_seconds=1),
                SystemClock(),
                instance=docker.instance,
                residents_dir=tmp_path / "residents",
            )
            stack.push_async_callback(runtime.close)
            return runtime

        yield Bench(docker, make(), make, python_image)


COUNTS: Final = """
    import os, sys, time
    from reactors.runtime import Reactor, get_binary_message, send_result, serve
    print("loading")
    seen = []
    def handle(context):
        seen.append(context.raw_message)
        return {"pid": os.getpid(), "seen": seen, "execution": context.execution_id}
    serve(handle)
"""


async def test_one_process_gets_message_after_message(bench: Bench) -> None:
    spec = bench.spec(COUNTS)
    first, sink = await bench.run(spec, "a")
    second, again = await bench.run(spec, "b")
    other, elsewhere = await bench.run(replace(spec, worker_id=new_worker_id()), "c")

    assert [each.exit_code for each in (first, second, other)] == [0, 0, 0]
    assert [json.loads(each.received[0])["seen"] for each in (sink, again, elsewhere)] == [["a"], ["a", "b"], ["c"]]
    assert (bytes(sink.data), bytes(again.data)) == (b"loading\n", b"")
    assert first.final_state["Status"] == "exited"
    assert first.started_at <= first.finished_at
    assert len(await bench.containers()) == 2


async def test_a_thousand_messages_keep_their_output_apart(bench: Bench) -> None:
    spec = bench.spec(
        """
        import os, sys
        from reactors.runtime import serve
        def handle(context):
            number = int(context.raw_message)
            print(f"out {number} " + "x" * (number % 7) * 1000)
            print(f"err {number}", end="", file=sys.stderr)
            os.write(1, b"raw %d" % number)
            return f"result {number}"
        serve(handle)
        """
    )
    for number in range(1000):
        outcome, sink = await bench.run(spec, str(number))
        expected = f"out {number} {'x' * (number % 7) * 1000}\nraw {number}err {number}"
        assert (outcome.exit_code, sink.data.decode()) == (0, expected)
        assert sink.received == [f"result {number}".encode()]


async def test_output_that_no_pipe_holds_and_results_besides_the_answer_arrive(bench: Bench) -> None:
    spec = bench.spec(
        """
        import sys
        from reactors.runtime import Reactor, serve
        def handle(context):
            for number in range(200000):
                print(number)
            for number in range(30):
                Reactor().send_result(bytes([number]))
            return b"last"
        serve(handle)
        """
    )
    for _ in range(2):
        _, sink = await bench.run(spec)
        assert sink.data.decode().split("\n") == [*map(str, range(200000)), ""]
        assert sink.received == [*(bytes([number]) for number in range(30)), b"last"]


async def test_a_binary_message_and_odd_variables_arrive_to_the_byte(bench: Bench, tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    (tmp_path / "binary").write_bytes(content)
    spec = bench.spec(
        """
        import hashlib
        from reactors.runtime import get_binary_message, serve
        def handle(context):
            if context.content_type == "application/octet-stream":
                return [context.raw_message, hashlib.sha256(get_binary_message()).hexdigest()]
            return [context["odd-Name.x y'z"], len(context["odd state"]), context.raw_message]
        serve(handle)
        """
    )
    odd = {"odd-Name.x y'z": "".join(map(chr, range(1, 0x250))) + "🐙", "odd state": "s" * 131_000}
    _, sink = await bench.run(replace(spec, environment={**spec.environment, **odd}), odd["odd-Name.x y'z"])
    assert json.loads(sink.received[0]) == [odd["odd-Name.x y'z"], 131_000, odd["odd-Name.x y'z"]]
    binary = {"_abaco_Content_Type": "application/octet-stream", "_abaco_Content-Type": "application/octet-stream"}
    run = replace(spec, environment=binary, binary_message=tmp_path / "binary", execution_id=new_execution_id())
    sink = RecordingSink()
    outcome = await bench.runtime.run(run, sink)
    assert (outcome.exit_code, json.loads(sink.received[0])) == (0, [None, hashlib.sha256(content).hexdigest()])


async def test_a_failure_costs_its_execution_only(bench: Bench) -> None:
    spec = bench.spec(
        """
        import os, sys, time
        from reactors.runtime import serve
        def handle(context):
            print("begun")
            match context.raw_message:
                case "raise": raise ValueError("bad")
                case "exit": sys.exit(9)
                case "crash": os._exit(5)
                case "sleep": time.sleep(1000)
            return os.getpid()
        serve(handle)
        """
    )
    raised, sink = await bench.run(spec, "raise")
    assert (raised.exit_code, sink.received) == (1, [])
    assert sink.data.startswith(b"begun\nTraceback")
    assert sink.data.endswith(b"ValueError: bad\n")
    assert (await bench.run(spec, "exit"))[0].exit_code == 9
    before = set(await bench.containers())
    # the process that crashes is started again
    crashed, sink = await bench.run(spec, "crash")
    assert (crashed.exit_code, bytes(sink.data)) == (5, b"begun\n")
    fine, sink = await bench.run(spec, "fine")
    assert (fine.exit_code, bytes(sink.data), sink.received) == (0, b"begun\n", [b"1"])
    assert not before & set(await bench.containers())
    # so is the one that hangs
    late, sink = await bench.run(spec, "sleep", time_limit=1)
    assert (late.exit_code, bytes(sink.data)) == (143, b"begun\n")
    assert (await bench.run(spec, "fine"))[0].exit_code == 0


async def test_halting_ends_the_execution_and_the_next_gets_another_process(bench: Bench) -> None:
    spec = bench.spec(
        """
        import time
        from reactors.runtime import serve
        def handle(context):
            print("begun")
            time.sleep(1000 if context.raw_message == "hello" else 0)
        serve(handle)
        """
    )
    sink = RecordingSink()
    run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
    await sink.until(b"begun\n")
    await bench.runtime.halt(spec.execution_id)
    assert (await run).exit_code == 143
    assert (await bench.run(spec, "fine"))[0].exit_code == 0


async def test_one_that_is_halted_while_it_loads_never_gets_the_message(bench: Bench) -> None:
    spec = bench.spec("import time; print('loading', flush=True); time.sleep(1000)")
    sink = RecordingSink()
    run = asyncio.create_task(bench.runtime.run(spec, sink), name="run")
    await sink.until(b"loading\n")
    await bench.runtime.halt(spec.execution_id)
    assert (await run).exit_code == 137


async def test_a_cancelled_execution_leaves_the_process_for_the_next(bench: Bench) -> None:
    class Cancelled(RecordingSink):
        async def starting(self) -> None:
            raise IllegalTransition("cancelled")

    spec = bench.spec(COUNTS)
    with pytest.raises(IllegalTransition):
        await bench.runtime.run(spec, Cancelled())
    _, sink = await bench.run(spec, "a")
    assert json.loads(sink.received[0])["seen"] == ["a"]
    assert len(await bench.containers()) == 1


async def test_a_program_that_does_not_listen_is_told(bench: Bench) -> None:
    spec = bench.spec("print('no server here'); raise SystemExit(3)")
    sink = RecordingSink()
    with pytest.raises(RunRejected, match="ended before it listened for messages, with exit code 3"):
        await bench.runtime.run(spec, sink)
    assert sink.data == b"no server here\n"


@pytest.mark.parametrize(
    "answer",
    [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nAbaco-Exit-Code: 256\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "x" * 70_000,
        "close",
        "HTTP/1.1 200 close\r\nContent-Length: 5\r\n\r\nshor",
    ],
    ids=lambda answer: answer[:30].encode().hex(),
)
async def test_nonsense_for_an_answer_ends_the_process_and_says_why(bench: Bench, answer: str) -> None:
    spec = bench.spec(RAW)
    outcome, _ = await bench.run(spec, answer)
    assert outcome.exit_code == 137
    assert "answer" in outcome.final_state["Error"]
    fine, sink = await bench.run(spec, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert (fine.exit_code, sink.received) == (0, [b"ok"])


@pytest.mark.parametrize(
    ("answer", "code", "received", "log"),
    [
        ("HTTP/1.1 204 No Content\r\n\r\n", 0, [], b""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            0,
            [b"abcde"],
            b"",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nto the end", 0, [b"to the end"], b""),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 0, [b"x"], b""),
        ("HTTP/1.1 500 \r\nContent-Length: 3\r\n\r\nwhy", 1, [], b"why"),
        ("HTTP/1.1 200 OK\r\nabaco-exit-code: 7\r\nContent-Length: 0\r\n\r\n", 7, [], b""),
        (
            f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_RESULT_BYTES + 1}\r\n\r\n" + "x" * (MAX_RESULT_BYTES + 1),
            0,
            [],
            b"",
        ),
    ],
    ids=["204", "chunked", "1.0", "closing", "500", "code", "large"],
)
async def test_any_server_may_answer(bench: Bench, answer: str, code: int, received: list[bytes], log: bytes) -> None:
    spec = bench.spec(RAW)
    for _ in range(2):
        outcome, sink = await bench.run(spec, answer)
        assert (outcome.exit_code, sink.received, bytes(sink.data)) == (code, received, log)
    assert len(await bench.containers()) == 1


async def test_what_is_printed_between_messages_is_in_no_log(bench: Bench) -> None:
    spec = bench.spec(
        """
        import threading, time
        from reactors.runtime import serve
        def later():
            time.sleep(0.2)
            print("nobody's")
            open("/tmp/done", "w").close()
        def handle(context):
            if context.raw_message == "first":
                threading.Thread(target=later).start()
            else:
                import os
                while not os.path.exists("/tmp/done"):
                    time.sleep(0.01)
            print("mine")
        serve(handle)
        """
    )
    assert (await bench.run(spec, "first"))[1].data == b"mine\n"
    await asyncio.sleep(1)
    assert (await bench.run(spec, "second"))[1].data == b"mine\n"


async def test_a_link_in_place_of_the_socket_leads_nowhere(bench: Bench, tmp_path: Path) -> None:
    # given a socket of the host that answers, and a process that links to it
    asked = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()

    target = Path("/tmp") / f"r{new_worker_id()}"
    server = await asyncio.start_unix_server(answer, target)
    spec = bench.spec(
        f"import os, time; os.symlink('{target}', os.environ['_abaco_resident_socket']); print('linked', flush=True)\n"
        "time.sleep(1000)",
        time_limit=2,
    )
    # when a message comes
    with pytest.raises(RunRejected):
        await bench.runtime.run(spec, RecordingSink())
    # then nobody asked that socket
    assert not asked.is_set()
    server.close()
    target.unlink(missing_ok=True)


async def test_another_shape_or_the_end_of_the_worker_replaces_the_container(bench: Bench) -> None:
    spec = bench.spec(COUNTS)
    await bench.run(spec, "a")
    _, sink = await bench.run(replace(spec, user="1234:5678"), "b")
    assert json.loads(sink.received[0])["seen"] == ["b"]
    bench.runtime.worker_ended(spec.worker_id)
    await until_none(bench)


async def test_a_later_daemon_ends_what_an_earlier_one_left(bench: Bench) -> None:
    spec = bench.spec("from reactors.runtime import serve\nimport time\nserve(lambda context: time.sleep(1000))")
    run = asyncio.create_task(bench.runtime.run(spec, sink := RecordingSink()), name="run")
    await sink.started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    later = bench.make()
    assert await later.found() == []
    assert await bench.containers() == {}


async def test_without_busybox_each_message_runs_by_itself(bench: Bench) -> None:
    bench.runtime = bench.make(busybox=Path("/no/busybox"))
    spec = bench.spec(COUNTS)
    for message in ("a", "b"):
        outcome, sink = await bench.run(spec, message)
        assert (outcome.exit_code, json.loads(sink.received[0])["seen"]) == (0, [message])
    assert await bench.containers() == {}


async def test_cpu_time_is_that_of_the_execution(bench: Bench) -> None:
    spec = bench.spec(
        """
        import time
        from reactors.runtime import serve
        def handle(context):
            end = time.process_time() + float(context.raw_message)
            while time.process_time() < end:
                pass
        end = time.process_time() + 0.5
        while time.process_time() < end:
            pass
        serve(handle)
        """
    )
    busy, _ = await bench.run(spec, "0.2")
    idle, _ = await bench.run(spec, "0")
    assert 0.19e9 < busy.cpu < 0.4e9
    assert idle.cpu < 0.1e9


async def until_none(bench: Bench) -> None:
    """Wait for the containers to go."""
    end = time.monotonic() + 20
    while await bench.containers():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)

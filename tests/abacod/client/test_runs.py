"""Commands about messages and executions, on a served daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from abacod.client.account import Account
from abacod.client.commands import runs
from abacod.client.server import Server
from tests.abacod.api.serving import Client, Serving
from tests.abacod.client.conftest import Abaco
from tests.fakes import FakeContainer


@pytest.fixture
async def actor(served: Serving, alice: Client) -> str:
    """The id of an actor called `echo`: it prints its message and what `A` is, and ends with 7 for `fail`."""

    async def echo(container: FakeContainer) -> int:
        text = container.spec.environment.get("MSG", "bytes")
        container.write(f"{text} {container.spec.environment.get('A', '')}\n")
        return 7 if text == "fail" else 0

    served.engine.programs["image"] = echo
    return str((await alice.register(name="echo"))["id"])


async def test_a_message_is_sent_and_its_log_read(served: Serving, abaco: Abaco, alice: Client, actor: str) -> None:
    for command in ("run", "submit"):
        sent = await abaco(command, "-m", "grüß dich", "-q", "A=ä&B=2", "echo")
        execution = sent.out.strip()
        await served.until_ended(alice, actor, execution)
        assert (await abaco("logs", "echo", execution)).out == "grüß dich ä\n"
        assert (await abaco("logs", "echo")).out == "grüß dich ä\n"
        assert (await abaco("logs", "echo", "--json")).result["logs"] == "grüß dich ä\n"
        assert (await abaco("logs", "-f", "echo")).out == "grüß dich ä\n"


async def test_json_is_sent_as_json(abaco: Abaco, actor: str, tmp_path: Path) -> None:
    sent = (await abaco("run", "-m", '{"a": [1]}', actor, "--json")).result
    assert sent["msg"] == {"a": [1]}
    (tmp_path / "file").write_text('{"b": 2}')
    assert (await abaco("run", "-F", str(tmp_path / "file"), actor, "-v")).result["msg"] == {"b": 2}
    assert (await abaco("run", "--text", "-m", "42", actor, "--json")).result["msg"] == "42"
    assert (await abaco("run", "-m", "-", actor, "--json", typed=b"piped\n")).result["msg"] == "piped"


async def test_bytes_are_sent_from_files_and_pipes(abaco: Abaco, actor: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff" * 70_000)
    assert "omitted" in (await abaco("run", "--binary", str(tmp_path / "file"), actor, "--json")).result["msg"]
    assert "omitted" in (await abaco("run", "--binary", "-", actor, "--json", typed=b"\xfe" * 70_000)).result["msg"]
    assert (await abaco.fails("run", "--binary", "-", actor, typed=b"x" * 200_000)).code == 1


async def test_waiting_shows_the_log_and_ends_as_the_actor_did(abaco: Abaco, actor: str) -> None:
    well = await abaco("run", "--wait", "-m", "fine", "echo")
    assert well.out == "fine \n"
    badly = await abaco.fails("run", "--wait", "-m", "fail", "echo")
    assert (badly.code, badly.out) == (7, "fail \n")
    assert "exit code 7" in badly.err
    as_json = await abaco.fails("run", "--wait", "--json", "-m", "fail", "echo")
    assert (as_json.code, as_json.result["exit_code"]) == (7, 7)
    assert "fail \n" in as_json.err


async def test_an_execution_in_error_has_a_status_of_its_own(
    served: Serving, abaco: Abaco, alice: Client, actor: str
) -> None:
    hold = asyncio.Event()

    async def wait(_: FakeContainer) -> int:
        await hold.wait()
        return 0

    served.engine.programs["image"] = wait
    stateful = (await alice.register(name="one", stateless=False))["id"]
    first = (await abaco("run", "-m", "first", stateful)).out.strip()
    await served.until_status(alice, f"/v3/actors/{stateful}/executions/{first}", "RUNNING")
    second = asyncio.create_task(abaco.fails("run", "--wait", "-m", "second", stateful))

    async def waits() -> bool:
        return bool((await alice.get(f"/v3/actors/{stateful}/messages")).result["messages"])

    await served.until(waits)
    assert (await abaco("messages", stateful)).out == "1\n"
    # The other command, which runs beside, may tell of its execution meanwhile.
    assert (await abaco("messages", stateful, "--purge", "-y")).err.endswith("Actor mailbox purged.\n")
    ended = await second
    assert ended.code == 6
    assert "ended in ERROR: " in ended.err
    hold.set()


async def test_executions_are_listed_and_shown(served: Serving, abaco: Abaco, alice: Client, actor: str) -> None:
    assert (await abaco("executions", "echo")).out == "ID  STATUS  RECEIVED  STARTED  FINISHED\n"
    assert (await abaco.fails("logs", "echo")).code == 4
    execution = (await abaco("run", "-m", "x", "echo")).out.strip()
    await served.until_ended(alice, actor, execution)
    assert execution in (await abaco("executions", "echo")).out
    assert (await abaco("executions", "echo", "--json")).result["total_executions"] == 1
    assert (await abaco("executions", "echo", execution, "--json")).result["exit_code"] == 0
    assert (await abaco.fails("executions", "echo", "nope")).code == 4


async def test_an_execution_is_halted(served: Serving, abaco: Abaco, alice: Client, actor: str) -> None:
    async def obey(container: FakeContainer) -> int:
        await container.terminated.wait()
        return 143

    served.engine.programs["image"] = obey
    execution = (await abaco("run", "-m", "x", "echo")).out.strip()
    await served.until_status(alice, f"/v3/actors/{actor}/executions/{execution}", "RUNNING")
    assert "is being stopped" in (await abaco("halt", "echo", execution)).err
    assert (await served.until_ended(alice, actor, execution))["status"] == "COMPLETE"
    refused = await abaco.fails("halt", "echo", execution)
    assert refused.code == 1
    assert "Cannot force quit" in refused.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("run", "echo"), "Give one message"),
        (("run", "-m", "x"), "Missing argument 'ACTOR'"),
        (("run", "-m", "x", "-q", "a", "echo"), "not KEY=VALUE"),
        (("run", "-m", "x", "--sync", "--wait", "echo"), "--sync"),
        (("run", "-m", "x", "-Z", "n", "--wait", "echo"), "--sync"),
        (("logs", "-f", "--json", "echo"), "--follow"),
        (("messages", "echo", "-X"), "not logged in"),
        (("results", "echo", "-o", "x", "--json"), "--output"),
        (("halt", "echo"), "Missing argument 'EXECUTION'"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(nobody: Abaco, arguments: tuple[str, ...], problem: str) -> None:
    refused = nobody.now(*arguments)
    assert refused.code in (2, 3)
    assert problem in refused.err


class Results:
    """A server that has some results for the latest execution of an actor."""

    def __init__(self, *results: bytes) -> None:
        self.left = list(results)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/results"):
            return httpx.Response(200, content=self.left.pop(0) if self.left else b"")
        result = {"id": "a", "executions": [{"id": "e1"}, {"id": "e2"}]}
        return httpx.Response(200, json={"message": "m", "result": result, "status": "s", "version": "1"})


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    server = Results(b"one\xff", b"two", b"three")
    account = Account("http://abaco.example.org", access_token="x")
    monkeypatch.setattr(runs, "connected", lambda: Server(account, transport=httpx.MockTransport(server)))
    return server


def test_a_result_is_taken_and_printed_as_it_is(nobody: Abaco, results: Results) -> None:
    assert nobody.now("results", "a").bytes_out == b"one\xff"
    assert nobody.now("results", "a", "--json").result == ["dHdv"]
    assert nobody.now("results", "a", "--all").bytes_out == b"three"
    none = nobody.now("results", "a")
    assert (none.code, none.bytes_out, none.err) == (0, b"", "Execution e2 has no result waiting.\n")


def test_results_go_to_files_that_were_not_there(nobody: Abaco, results: Results, tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"mine")
    assert nobody.now("results", "a", "--all", "-o", str(tmp_path / "new" / "place")).code == 0
    assert sorted(file.name for file in (tmp_path / "new" / "place").iterdir()) == ["1", "2", "3"]
    results.left = [b"four"]
    nobody.now("results", "a", "-o", str(tmp_path))
    assert [(tmp_path / name).read_bytes() for name in ("1", "2")] == [b"mine", b"four"]


def test_no_result_is_taken_without_a_place_for_it(nobody: Abaco, results: Results, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert nobody.now("results", "a", "-o", str(tmp_path / "file" / "x")).code == 2
    assert len(results.left) == 3

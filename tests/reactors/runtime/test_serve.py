"""Programs that serve message after message, as the daemon talks to them (docs/reference/container.md)."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

REPOSITORY: Final = Path(__file__).resolve().parents[3]
CLASSIFIER: Final = REPOSITORY / "examples" / "classifier" / "classifier.py"
LARGEST: Final = 131072


@dataclass
class Answer:
    """What came back."""

    status: int
    code: str | None
    content: bytes


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))

    def message(self, body: bytes, content_type: str = "str", **variables: str) -> Answer:
        context = {"_abaco_actor_id": "actor", "_abaco_execution_id": "x", "_abaco_Content_Type": content_type}
        encoded = base64.b64encode(json.dumps({**context, **variables}).encode()).decode()
        self.putrequest("POST", "/")
        for at in range(0, len(encoded), 8000):
            self.putheader("Abaco-Context", encoded[at : at + 8000])
        self.putheader("Content-Length", str(len(body)))
        self.endheaders(body)
        answer = self.getresponse()
        return Answer(answer.status, answer.headers["Abaco-Exit-Code"], answer.read())


@dataclass
class Program:
    """A program that runs, and the connection to it."""

    process: subprocess.Popen[bytes]
    path: Path
    connection: Connection

    def printed(self) -> bytes:
        """What it has printed up to now."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        return self.process.stdout.read() or b""


Start = Callable[[str], Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program whose handler is `handle`, and waits until it serves."""
    started: list[Program] = []

    def run(handler: str) -> Program:
        text = f"from reactors.runtime import *\nimport os, sys\n{textwrap.dedent(handler)}\nserve(handle)\n"
        path = tmp_path / f"{len(started)}.sock"
        variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "_abaco_resident_socket": str(path), "KEPT": "own"}
        process = subprocess.Popen(
            [sys.executable, "-c", text], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        until(path.exists)
        started.append(Program(process, path, Connection(path)))
        return started[-1]

    yield run
    for program in started:
        program.connection.close()
        program.process.kill()
        program.process.communicate()


def until(done: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_process_serves_message_after_message(start: Start) -> None:
    program = start(
        """
        seen = []
        def handle(context):
            seen.append(context.execution_id)
            return [os.getpid(), *seen]
        """
    )
    for number in (1, 2, 3):
        answer = program.connection.message(b"hello", _abaco_execution_id=f"x{number}")
        assert (answer.status, answer.code) == (200, "0")
        expected = [program.process.pid, *(f"x{each}" for each in range(1, number + 1))]
        assert json.loads(answer.content) == expected


def test_the_context_is_that_of_the_execution_and_of_no_other(start: Start) -> None:
    program = start(
        """
        def handle(context):
            os.environ["OF_THE_HANDLER"] = "1"
            rx = Reactor()
            return [context, rx.execid, rx.context.raw_message, get_context().get("q"), dict(os.environ)]
        """
    )
    odd = {"q": "ünï \n\"'", "a.b c": "odd name", "KEPT": "over", "": "no name", "x=y": "no name"}
    context, execid, message, query, environment = json.loads(
        program.connection.message('{"a": "🐙"}'.encode(), "application/json", **odd).content
    )
    assert (context["message_dict"], context["username"]) == ({"a": "🐙"}, None)
    assert (execid, message, query) == ("x", '{"a": "🐙"}', odd["q"])
    assert {name: environment.get(name) for name in ("a.b c", "KEPT")} == {"a.b c": "odd name", "KEPT": "over"}
    # when the next message has none of these
    *_, query, environment = json.loads(program.connection.message(b"next").content)
    # then nothing of the first is left
    assert (query, environment["KEPT"], environment["MSG"]) == (None, "own", "next")
    assert not {"a.b c", "q"} & set(environment)


def test_a_context_of_a_megabyte_comes_in_pieces(start: Start) -> None:
    program = start("def handle(context): return len(context.state)")
    http.client._MAXHEADERS = 1000  # type: ignore[attr-defined]
    assert program.connection.message(b"", _abaco_actor_state="s" * 1_000_000).content == b"1000000"


@pytest.mark.parametrize(
    ("returned", "content"),
    [
        ("None", b""),
        ("b'\\0\\xff'", b"\0\xff"),
        ("'ä'", "ä".encode()),
        ("{'a': [1, None]}", b'{"a":[1,null]}'),
        (f"b'x' * {LARGEST}", b"x" * LARGEST),
    ],
)
def test_what_a_handler_returns_is_the_result(start: Start, returned: str, content: bytes) -> None:
    answer = start(f"def handle(context): return {returned}").connection.message(b"")
    assert (answer.status, answer.code, answer.content) == (200, "0", content)


@pytest.mark.parametrize(
    ("statement", "code", "log"),
    [
        ("raise KeyError('gone')", "1", b"KeyError: 'gone'"),
        ("return object()", "1", b"TypeError"),
        (f"return b'x' * {LARGEST + 1}", "1", b"131073 bytes"),
        ("sys.exit(7)", "7", b""),
        ("sys.exit('why')", "1", b"why\n"),
        ("Reactor().on_failure('no', 'reason')", "1", b"actor CRITICAL no : reason\n"),
        ("Reactor().on_success('yes')", "0", b"actor INFO yes\n"),
    ],
)
def test_a_handler_that_fails_or_exits_ends_its_execution_only(
    start: Start, statement: str, code: str, log: bytes
) -> None:
    program = start(
        f"""
        def handle(context):
            if context.raw_message == "fine":
                return "fine"
            {statement}
        """
    )
    answer = program.connection.message(b"bad")
    assert (answer.status, answer.code, answer.content) == (200 if code == "0" else 500, code, b"")
    assert log in program.printed()
    assert program.connection.message(b"fine").content == b"fine"


def test_all_that_is_printed_is_out_before_the_answer(start: Start) -> None:
    program = start(
        """
        def handle(context):
            print(context.raw_message, end="")
            print("!", end="", file=sys.stderr)
        """
    )
    for number in range(100):
        program.connection.message(str(number).encode())
        assert sorted(program.printed()) == sorted(f"{number}!".encode())


def test_a_binary_message_is_no_text(start: Start) -> None:
    program = start("def handle(context): return [context.raw_message, context.content_type]")
    answer = program.connection.message(b"\xff" * 300_000, "application/octet-stream")
    assert json.loads(answer.content) == [None, "application/octet-stream"]
    assert json.loads(program.connection.message(b"text").content) == ["text", "str"]


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nAbaco-Context: e30=\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nAbaco-Context: \xff\r\n\r\n",
        b"POST / HTTP/1.1\r\nAbaco-Context: W10=\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_message_is_refused(start: Start, sent: bytes) -> None:
    program = start("def handle(context): return 'fine'")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(program.path))
        client.sendall(sent)
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")
        rest = b"".join(iter(lambda: client.recv(1000), b""))
        assert b"HTTP" not in rest
    assert program.connection.message(b"").content == b"fine"


def test_a_signal_to_end_ends_it_also_within_a_message(start: Start) -> None:
    program = start(
        """
        import time
        def handle(context):
            print("begun", flush=True)
            try:
                time.sleep(60)
            except Exception:
                pass
        """
    )
    program.connection.connect()
    context = base64.b64encode(b"{}")
    program.connection.sock.sendall(b"POST / HTTP/1.1\r\nAbaco-Context: " + context + b"\r\n\r\n")
    until(lambda: b"begun" in program.printed())
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(20) == 143


def test_the_same_program_handles_the_message_of_a_run_of_its_own(tmp_path: Path) -> None:
    text = "from reactors.runtime import serve\nserve(lambda context: {'said': context.raw_message})"
    ended = ran(text, MSG="hello")
    assert (ended.returncode, ended.stdout) == (0, 'result: b\'{"said":"hello"}\'\n')
    text = "import sys; from reactors.runtime import serve\nserve(lambda context: sys.exit(3))"
    assert ran(text, MSG="hello").returncode == 3


def test_it_needs_the_standard_library_alone(tmp_path: Path) -> None:
    text = """
        import sys
        class Nothing:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in ("yaml", "requests", "jsonschema", "tapipy"):
                    raise ImportError(name)
        sys.meta_path.insert(0, Nothing())
        from reactors.runtime import serve
        serve(lambda context: "fine")
    """
    ended = ran(textwrap.dedent(text), MSG="hello")
    assert ended.stdout == "result: b'fine'\n", ended.stderr


def test_the_example_loads_once(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "_abaco_resident_socket": str(path)}
    with subprocess.Popen([sys.executable, str(CLASSIFIER)], env=variables, stdout=subprocess.PIPE) as process:
        try:
            began = time.monotonic()
            until(path.exists)
            assert time.monotonic() - began >= 2
            connection = Connection(path)
            for text, language in (("the dog is lazy", "english"), ("der hund ist faul", "german")):
                answer: Any = json.loads(connection.message(text.encode()).content)
                assert answer["language"] == language
            connection.close()
        finally:
            process.kill()


def ran(text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program that has ended."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    return subprocess.run([sys.executable, "-c", text], check=False, env=environment, capture_output=True, text=True)

"""Messages and what becomes of them: run, logs, executions, halt, results, messages."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abacod.client.commands.options import Actor, Execution, Json, Yes, confirm, connected, put_one
from abacod.client.errors import INTERRUPTED, ClientError, EndedBadly, Usage
from abacod.client.follow import Follower
from abacod.client.naming import actor_id, execution_id
from abacod.client.output import Column, one_line, put, put_bytes, put_json, put_table, say
from abacod.client.paths import ACTORS, segment
from abacod.client.sending import message as message_of
from abacod.client.sending import pairs

if TYPE_CHECKING:
    from abacod.client.server import Server

_LARGEST_STATUS = 255
"""The largest exit status a process has."""


def run(
    actor: Actor,
    message: Annotated[
        str | None,
        typer.Option("--message", "-m", metavar="TEXT", help="The message; `-` is stdin. JSON is sent as JSON."),
    ] = None,
    file: Annotated[str | None, typer.Option("--file", "-F", metavar="FILE", help="File with the message.")] = None,
    binary: Annotated[str | None, typer.Option("--binary", metavar="FILE", help="File whose bytes are sent.")] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            "--query", "-q", metavar="KEY=VALUE", help="Variable of this execution; may be repeated, or a=1&b=2."
        ),
    ] = None,
    as_text: Annotated[bool, typer.Option("--text", help="Send text, also if it is JSON.")] = False,
    json_message: Annotated[bool, typer.Option("--json-message", help="Refuse a message that is not JSON.")] = False,
    sync: Annotated[bool, typer.Option("--sync", "-x", help="Wait, and print the first result or the log.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Follow the log, and end with the exit code of the actor.")
    ] = False,
    nonce: Annotated[
        str | None, typer.Option("--nonce", "-Z", metavar="NONCE", help="Nonce, instead of a login.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send a message to an actor. Prints the id of the execution, which `logs` takes."""
    if sync and (wait or as_json):
        raise Usage("--sync prints what the actor gives, so it goes with neither --wait nor --json.")
    if nonce and wait:
        raise Usage("--wait asks more than once, and a nonce may be good for one use; use --sync.")
    body = message_of(message, file, binary, as_json=json_message, as_text=as_text)
    params = pairs(query or [])
    with body, connected(nonce=nonce) as server:
        # A nonce is bound to the very word in the address: the id or the alias.
        target = segment(actor) if nonce else actor_id(server, actor)
        path = f"{ACTORS}/{target}/messages"
        content: dict[str, Any] = {"content": body.content, "content_type": body.content_type}
        if sync:
            params.append(("_abaco_synchronous", "true"))
            put_bytes(server.request("POST", path, params=params, may_take_long=True, **content).content)
            return
        sent = server.result(server.request("POST", path, params=params, **content))
        if wait:
            _wait(server, target, sent["execution_id"], as_json)
        elif as_json:
            put_json(sent)
        else:
            put(f"{sent['execution_id']}\n")


def logs(
    actor: Actor,
    execution: Execution = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the execution has ended.")] = False,
    as_json: Json = False,
) -> None:
    """Print the log of an execution."""
    if follow and as_json:
        raise Usage("--follow prints the log as it comes, so it does not go with --json.")
    with connected() as server:
        found = actor_id(server, actor)
        which = execution_id(server, found, execution)
        if follow:
            Follower(server, found, which, put).to_the_end()
            return
        result = server.call("GET", f"/{found}/executions/{segment(which)}/logs")
    if as_json:
        put_json(result)
    else:
        put(result["logs"])


def executions(
    actor: Actor,
    execution: Annotated[
        str | None, typer.Argument(metavar="EXECUTION", help="Show only this one.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the executions of an actor, the oldest first, or show one."""
    with connected() as server:
        path = f"/{actor_id(server, actor)}/executions"
        result = server.call("GET", path if execution is None else f"{path}/{segment(execution)}")
    if execution is not None or as_json:
        put_one(result, as_json)
        return
    columns = [Column("ID", whole=True), Column("STATUS", whole=True)]
    columns += [Column(head) for head in ("RECEIVED", "STARTED", "FINISHED")]
    names = ("id", "status", "message_received_time", "start_time", "finish_time")
    put_table(columns, [[each[name] for name in names] for each in result["executions"]])


def halt(
    actor: Actor,
    execution: Annotated[str, typer.Argument(metavar="EXECUTION", help="Id of the execution.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Stop an execution that runs, or cancel one that waits."""
    with connected() as server:
        server.call("DELETE", f"/{actor_id(server, actor)}/executions/{segment(execution)}")
    if as_json:
        put_json(None)
    else:
        say(f"Execution {execution} is being stopped.")


def results(
    actor: Actor,
    execution: Execution = None,
    take_all: Annotated[bool, typer.Option("--all", help="Take all there are.")] = False,
    directory: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write each to a file here: 1, 2, …")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take a result of an execution, which is then gone, and print it as it is. As JSON it is in base64."""
    if directory and as_json:
        raise Usage("--output writes files, so it does not go with --json.")
    with connected() as server:
        found = actor_id(server, actor)
        which = execution_id(server, found, execution)
        path = f"{ACTORS}/{found}/executions/{segment(which)}/results"
        if directory:
            _prepare(directory)
        taken = 0
        listed: list[str] = []
        while result := server.request("GET", path).content:
            taken += 1
            if directory:
                _write(directory, which, taken, result)
            elif as_json:
                listed.append(base64.b64encode(result).decode())
            else:
                put_bytes(result)
            if not take_all:
                break
    if as_json:
        put_json(listed)
    elif not taken:
        say(f"Execution {which} has no result waiting.")


def messages(
    actor: Actor,
    purge: Annotated[bool, typer.Option("--purge", "-X", help="Drop all that wait.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Count the messages that wait for an actor, or drop them."""
    with connected() as server:
        path = f"/{actor_id(server, actor)}/messages"
        if purge:
            if not yes:
                confirm(f"Drop all messages that wait for {actor}?")
            result = server.call("DELETE", path)
        else:
            result = server.call("GET", path)
    if as_json:
        put_json(result)
    elif purge:
        say(one_line(str(result["msg"])))
    else:
        put(f"{result['messages']}\n")


def _wait(server: Server, actor: str, execution: str, as_json: bool) -> None:
    """Follow an execution to its end, and end as it did."""
    say(f"Execution {execution}")
    try:
        # As JSON, standard output is for the execution.
        ended = Follower(server, actor, execution, _put_aside if as_json else put).to_the_end()
    except KeyboardInterrupt:
        say(
            f"\nExecution {execution} goes on. `abaco logs -f {actor} {execution}` shows it, "
            f"`abaco halt {actor} {execution}` stops it."
        )
        raise typer.Exit(INTERRUPTED) from None
    except ClientError:
        say(f"Execution {execution} goes on. `abaco logs -f {actor} {execution}` shows it.")
        raise
    if as_json:
        put_json(ended)
    if ended["status"] == "ERROR":
        raise EndedBadly(f"Execution {execution} ended in ERROR: {_reason(ended)}")
    if code := ended["exit_code"]:
        say(f"The actor ended with exit code {one_line(str(code))}.")
        # The code may be a text when nobody knows it (`undetermined`).
        raise typer.Exit(code if isinstance(code, int) and 0 < code <= _LARGEST_STATUS else 1)


def _reason(execution: dict[str, Any]) -> str:
    state = execution["final_state"]
    return one_line(str(state.get("reason", state))) if isinstance(state, dict) else "no reason is known."


def _put_aside(text: str) -> None:
    typer.echo(text, nl=False, err=True)


def _prepare(directory: Path) -> None:
    """A result that is taken is gone from the server, so the place for it must be there before."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Usage(f"Cannot make {directory}: {error.strerror}.") from error
    if not os.access(directory, os.W_OK):
        raise Usage(f"Cannot write to {directory}.")


def _write(directory: Path, execution: str, number: int, result: bytes) -> None:
    """Keep a result in a file of its own; what is there stays."""
    try:
        while (file := directory / str(number)).exists():
            number += 1
        file.write_bytes(result)
    except OSError as error:
        raise ClientError(f"Cannot write a result of execution {execution}: {error}.") from error
    say(str(file))

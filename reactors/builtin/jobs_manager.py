"""PipelineJobs Manager: brings events to jobs (seeds: PipelineJobs Manager; spec/pipelinejobs 2.2).

An event comes as a JSON message, in the parameters of the query, or as the notification of a batch job.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reactors.builtin.messages import decoded
from reactors.pipelinejobs import agave
from reactors.pipelinejobs.identifiers import bare
from reactors.pipelinejobs.states import JobEvent
from reactors.pipelinejobs.tokens import may_be_token
from reactors.ports import Invocation, Outgoing, Ports, Refused

INDEXER: Final = "pipelinejobs-indexer"

_EVENT: Final = "pipelinejob_manager_event"
_CALLBACK: Final = "agave_job_callback"
_FIELDS: Final = frozenset({"uuid", "name", "data", "token"})
# What makes a message with these fields alone an event that takes the rest from the query.
_NAMING: Final = frozenset({"uuid", "name", "token"})
# Of a batch job's description these are of no use later.
_DROPPED: Final = frozenset({"_links", "retries", "localId"})
_KINDS: Final = {"uuid": str, "name": str, "token": str, "data": dict}
_CALLED: Final = {str: "a text", dict: "an object"}
_NO_TOKEN: Final = "null"  # noqa: S105 - what stands for none
_NO_PAYLOAD: Final = "Event had no JSON payload"
_FORWARDED: Final = (JobEvent.INDEX, JobEvent.INDEXED)


@dataclass(frozen=True, slots=True)
class _Event:
    """What a message says; empty where it does not."""

    uuid: str
    name: str
    token: str
    data: Mapping[str, Any] | None


def handle(call: Invocation, ports: Ports) -> None:
    """Bring the event to its job; the log says in which state that left it."""
    began = time.monotonic()
    event = _received(call)
    try:
        if event.name.lower() in _FORWARDED:
            _forward(call, ports, event)
        else:
            _bring(call, ports, event)
    except Refused as error:
        raise call.failure("Event not processed", error) from error
    raise call.success(f"Processed event in {(time.monotonic() - began) * 1e6:.0f} usec")


def _bring(call: Invocation, ports: Ports, event: _Event) -> None:
    handled = ports.jobs.handle(event.uuid, event.name, event.token or _NO_TOKEN, event.data)
    if handled.late:
        call.warning(f"Event {event.name} came too late for a job that is {handled.job.state}, and was passed over")
    call.info(f"Status for job {handled.job.uuid}: {handled.job.state}")
    if handled.unsent:
        call.warning(f"Failed to request indexing for {handled.job.uuid}: {handled.unsent}")


def _forward(call: Invocation, ports: Ports, event: _Event) -> None:
    """Indexing is the Indexer's; it checks the token, and brings the event itself."""
    ports.jobs.get(event.uuid)
    message = {"name": event.name.lower(), "uuid": event.uuid}
    if event.token:
        message["token"] = event.token
    ports.messenger.send(Outgoing(INDEXER, message))
    call.info(f"Forwarded {event.name.lower()} for job {event.uuid} to {INDEXER}")


# --- what was received ----------------------------------------------------------------------------------------------


def _received(call: Invocation) -> _Event:
    """The event that a message and the query's parameters name.

    Raises:
        Exit: they name none.
    """
    body, problem = _body(call)
    if _is_callback(body, call.parameters):
        event = _from_callback(call, body)
    elif body and (body.keys() <= _FIELDS and body.keys() & _NAMING):
        event = _from_event(call, body)
    else:
        event = _from_query(call, body)
    if event.uuid and event.name:
        return event
    if problem:
        raise call.failure("Failed to process message", problem)
    raise call.failure("No actionable event was received.")


def _body(call: Invocation) -> tuple[Mapping[str, Any], str]:
    """The object in a message, empty if it has none; and why it could not be read."""
    try:
        value = decoded(call.message)
        if isinstance(value, str):
            # Some clients write JSON into a text, and that as JSON again.
            value = decoded(value)
    except ValueError as error:
        return {}, str(error)
    return (value, "") if isinstance(value, dict) else ({}, "")


def _is_callback(body: Mapping[str, Any], parameters: Mapping[str, str]) -> bool:
    """Whether it is the notification of a batch job: an object with the status in it, or any other with one in the query."""
    # All that the schema of notifications asks for; the whole schema takes as long as all else here.
    if isinstance(body.get("status"), str) and body["status"]:
        return True
    return bool(body and _status(parameters) and not (body.keys() <= _FIELDS and body.keys() & _NAMING))


def _from_callback(call: Invocation, body: Mapping[str, Any]) -> _Event:
    call.debug(f"SCHEMA DETECTED: {_CALLBACK}")
    # The address may say more than the batch service does: a notification of the end, whatever the job is called then.
    status = _status(call.parameters) or str(body["status"])
    call.debug(f"agave_status: {status}")
    uuid = _uuid(call.parameters.get("uuid", ""))
    if not uuid:
        raise call.failure(
            "Agave callback POST and associated URL parameters were missing some required fields", "uuid"
        )
    data = {name: value for name, value in body.items() if name not in _DROPPED}
    return _Event(uuid, _named(call) or _meant(call, status), call.parameters.get("token", ""), _noted(call, data))


def _from_event(call: Invocation, body: Mapping[str, Any]) -> _Event:
    """What the message does not say, the query does."""
    given = {**_query_fields(call), **{name: value for name, value in body.items() if value is not None}}
    for field, kind in _KINDS.items():
        if field in given and not isinstance(given[field], kind):
            raise call.failure("Failed to process message", f"The field {field} must be {_CALLED[kind]}.")
    call.debug(f"SCHEMA DETECTED: {_EVENT}")
    if "name" not in given and _status(call.parameters):
        given["name"] = _meant(call, _status(call.parameters))
    return _Event(_uuid(given.get("uuid", "")), given.get("name", ""), given.get("token", ""), given.get("data"))


def _from_query(call: Invocation, body: Mapping[str, Any]) -> _Event:
    call.debug("SCHEMA DETECTED: empty post")
    name = _named(call)
    if not name and _status(call.parameters):
        name = _meant(call, _status(call.parameters))
    data = dict(body)
    token = call.parameters.get("token", "")
    if may_be_token(data.get("token")):
        token = data.pop("token")
    if not data:
        data = {"note": _NO_PAYLOAD}
        if call.parameters.get("note"):
            data["note"] = call.parameters["note"]
    return _Event(_uuid(call.parameters.get("uuid", "")), name, token, _noted(call, data))


def _query_fields(call: Invocation) -> dict[str, Any]:
    fields = {"uuid": call.parameters.get("uuid", ""), "name": _named(call), "token": call.parameters.get("token", "")}
    return {name: value for name, value in fields.items() if value}


def _named(call: Invocation) -> str:
    """The name of the event in the query."""
    return call.parameters.get("event", "") or call.parameters.get("name", "")


def _status(parameters: Mapping[str, str]) -> str:
    return parameters.get("status", "") or parameters.get("state", "")


def _meant(call: Invocation, status: str) -> str:
    event = agave.event_of(status)
    call.debug(f"Status: {status} => Event: {event}")
    return event


def _noted(call: Invocation, data: dict[str, Any]) -> dict[str, Any]:
    """The data with the note of the query, if that has one."""
    note = call.parameters.get("note")
    return {"note": note, **data} if note else data


def _uuid(text: str) -> str:
    return bare(text.strip()).lower()

"""Pipelines Manager: creates, updates, retires and shows pipelines (seeds: Pipelines Manager; spec/pipelinejobs 2.1)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reactors.builtin.messages import decoded
from reactors.pipelinejobs.records import shown_pipeline
from reactors.pipelinejobs.validation import violation
from reactors.ports import Exit, Invocation, Ports, Refused

_CREATE: Final = "pipeline_manager_create"
# What an empty message takes from the query instead.
_FIELDS: Final = ("uuid", "action", "token")
_TRUE: Final = ("true", "True", "1")


@dataclass(frozen=True, slots=True)
class _Action:
    """What a message asks for. `fails` begins the last line of the log if it cannot be done."""

    name: str
    fails: str
    do: Callable[[], Exit]


def handle(call: Invocation, ports: Ports) -> None:
    """Do what the message asks for; its log says what was done, with the pipeline's UUID and update token."""
    try:
        message = decoded(call.message)
    except ValueError as error:
        raise call.failure("Failed to process message", error) from error
    action = _selected(call, ports, message) if isinstance(message, dict) else None
    if action is None:
        raise call.failure("Failed to process message", "Message did not match any known schema")
    call.debug(f"Action selected: {action.name}")
    try:
        end = action.do()
    except Refused as error:
        raise call.failure(action.fails, error) from error
    raise end


def _selected(call: Invocation, ports: Ports, message: dict[str, Any]) -> _Action | None:
    """What the message asks for, by the first schema that it fits; None if it fits none."""
    token = call.parameters.get("token")
    document, given = _document(message, token, call.parameters.get("uuid"))
    if message and _fits(call, _CREATE, document):
        if given is None:
            return _Action("create", "Create failed", lambda: _create(call, ports, document))
        return _Action("update", "Update failed", lambda: _replace(call, ports, document, *given))
    asked = message or _from_query(call.parameters)
    if token and asked:
        asked = {"token": token, **asked}
    for schema, select in _SCHEMAS.items():
        if asked and _fits(call, schema, asked):
            return select(call, ports, asked)
    return None


def _document(
    message: Mapping[str, Any], token: str | None, uuid: str | None
) -> tuple[dict[str, Any], tuple[str, str | None] | None]:
    """The message as a pipeline's document; token and UUID of the pipeline that it is to replace, None without a token."""
    document = dict(message)
    if isinstance(document.get("token"), str):
        token = document.pop("token")
    if not token:
        return document, None
    # A record that was shown has its UUID.
    if isinstance(document.get("uuid"), str):
        uuid = document.pop("uuid")
    return document, (token, uuid)


def _from_query(parameters: Mapping[str, str]) -> dict[str, Any]:
    """What an empty message means by its query; empty if that names no action."""
    if "action" not in parameters:
        return {}
    asked: dict[str, Any] = {name: parameters[name] for name in _FIELDS if name in parameters}
    if asked["action"] == "update":
        asked["body"] = {}
    if parameters.get("force") in _TRUE:
        asked["force"] = True
    return asked


def _fits(call: Invocation, schema: str, message: Mapping[str, Any]) -> bool:
    why = violation(schema, message)
    if why is not None:
        call.debug(f'Validation to "{schema}" failed: {why}')
    return why is None


# --- what is done ---------------------------------------------------------------------------------------------------


def _create(call: Invocation, ports: Ports, document: Mapping[str, Any]) -> Exit:
    written = ports.pipelines.create(document)
    if written.token is None:
        return call.success(f"Pipeline {written.uuid} exists already; whoever created it has its update token")
    return call.success(f"Created pipeline {written.uuid} with update token {written.token}")


def _replace(call: Invocation, ports: Ports, document: Mapping[str, Any], token: str, uuid: str | None) -> Exit:
    written = ports.pipelines.replace(document, token, uuid)
    return call.success(f"Updated pipeline {written.uuid} with update token {written.token}")


def _update(call: Invocation, ports: Ports, asked: Mapping[str, Any]) -> Exit:
    # No field is merged with what it was, so a change that fits leaves a document that fits.
    why = violation(_CREATE, {"name": "", "components": [{"id": ""}], **asked["body"]})
    if why is not None:
        raise Refused(why)
    written = ports.pipelines.update(asked["uuid"], asked["body"], asked["token"])
    return call.success(f"Updated pipeline {written.uuid} with update token {written.token}")


def _retire(call: Invocation, ports: Ports, asked: Mapping[str, Any]) -> Exit:
    uuid, force = asked["uuid"], asked.get("force", False)
    call.info(f"{'Deleting' if force else 'Disabling'} pipeline {uuid}")
    ports.pipelines.retire(uuid, asked["token"], force=force)
    return call.success("Success")


def _restore(call: Invocation, ports: Ports, asked: Mapping[str, Any]) -> Exit:
    call.info(f"Enabling pipeline {asked['uuid']}")
    ports.pipelines.restore(asked["uuid"], asked["token"])
    return call.success("Success")


def _show(call: Invocation, ports: Ports, asked: Mapping[str, Any]) -> Exit:
    try:
        pipeline = ports.pipelines.get(asked["uuid"])
    except Refused as error:
        raise call.failure(str(error)) from error
    text = json.dumps(shown_pipeline(pipeline))
    call.info(text)
    call.answer(text.encode())
    return call.success("Exists and was printed to execution log")


def _on(
    name: str, fails: str, do: Callable[[Invocation, Ports, Mapping[str, Any]], Exit]
) -> Callable[[Invocation, Ports, Mapping[str, Any]], _Action]:
    return lambda call, ports, asked: _Action(name, fails, lambda: do(call, ports, asked))


_SCHEMAS: Final = {
    "pipeline_manager_update": _on("update", "Update failed", _update),
    "pipeline_manager_delete": _on("retire", "Disable failed", _retire),
    "pipeline_manager_undelete": _on("restore", "Enable failed", _restore),
    "pipeline_manager_get": _on("get", "Get failed", _show),
}
"""In the order in which they are tried, after that of documents."""

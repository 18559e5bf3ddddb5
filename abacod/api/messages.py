"""Messages over HTTP: send, count, purge (spec/actors-api 3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final, TypedDict

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from abacod.api.body import (
    MULTIPART,
    Pairs,
    is_json,
    kind_of_body,
    parse_form,
    parse_json,
    read_bytes,
    read_chunks,
    read_multipart,
    read_text,
)
from abacod.api.calls import ANY_JSON, OCTETS, Call, Content
from abacod.api.reply import Replies, octets, page
from abacod.errors import BadRequest, InvalidMessage
from abacod.models.builtin import INDEXER
from abacod.models.execution import Execution
from abacod.models.message import BINARY_OMITTED, Message
from abacod.services.environment import is_reserved
from abacod.services.messages import Messages
from abacod.services.results import Results

_SUCCESS: Final = "The request was successful"
_BINARY: Final = "application/octet-stream"
# Query parameters that are for the server, not for the container.
_NOT_FOR_CONTAINER: Final = frozenset({"message", "x-nonce"})
_FILTERS: Final = "filters"
_SYNCHRONOUS: Final = "_abaco_synchronous"
EXECUTION_HEADER: Final = "Abaco-Execution-Id"
"""The header of an answer to a synchronous message that names its execution."""


class MessageForm(BaseModel):
    """A message in a form or in the query. Other query parameters become environment variables of the execution."""

    model_config = ConfigDict(extra="allow")

    message: str | None = Field(None, description="The message, a text.")


MESSAGE: Final = (ANY_JSON, MessageForm, OCTETS)
"""What a message may come in."""


LOG: Final = Content(
    ("text/html",), "The log of an execution that a synchronous message waited for, if it sent no result."
)


class MessageLinks(TypedDict):
    """Addresses that belong to a message."""

    self: str
    owner: str
    messages: str


class MessageSent(TypedDict):
    """A message that is on disk, and the execution that will run it."""

    execution_id: str
    executionId: str
    msg: Annotated[Any, Field(description="The message as it was understood.")]
    _links: MessageLinks


class MailboxLinks(TypedDict):
    """Addresses that belong to a mailbox."""

    self: str
    owner: str


class MailboxShown(TypedDict):
    """How many messages wait."""

    messages: int
    _links: MailboxLinks


class MailboxPurged(TypedDict):
    """Nothing waits any more."""

    msg: str
    _links: MailboxLinks


class MessagesApi:
    """Handlers for mailboxes."""

    def __init__(
        self, messages: Messages, results: Results, replies: Replies, *, max_text_bytes: int, max_reactor_bytes: int
    ) -> None:
        """`max_reactor_bytes` bounds messages to built-in reactors, `max_text_bytes` those to all others."""
        self._max_reactor_bytes = min(max_reactor_bytes, max_text_bytes)
        self._messages = messages
        self._results = results
        self._replies = replies
        self._max_text_bytes = max_text_bytes

    async def send(self, call: Call) -> web.StreamResponse:
        """POST /{actor}/messages: Send a message."""
        variables = _variables(call)
        in_query = _named(call.query)
        synchronous = _is_synchronous(call)
        shown: Any
        if kind_of_body(call.request) == _BINARY and in_query is None:
            shown = BINARY_OMITTED
            chunks = read_chunks(call.request)
            execution = await self._messages.send_binary(
                call.caller,
                call.actor,
                chunks,
                variables,
                announced_bytes=call.request.content_length,
                synchronous=synchronous,
            )
        else:
            message = await self._message(call, in_query, variables)
            shown = message.shown
            execution = await self._messages.send(call.caller, call.actor, message, synchronous=synchronous)
        if synchronous:
            return await call.while_held(self._answer(execution))
        result: MessageSent = {
            # Both spellings in this one reply: clients differ (spec/decisions: message reply).
            "execution_id": execution.id,
            "executionId": execution.id,
            "msg": shown,
            "_links": {
                "self": self._replies.execution_link(call.dialect, call.actor.id, execution.id),
                "owner": self._replies.profile_link(call.dialect, call.actor.owner),
                "messages": self._mailbox_link(call),
            },
        }
        return self._replies.as_is(result, _SUCCESS)

    async def _answer(self, execution: Execution) -> web.StreamResponse:
        answer = await self._results.answer(execution)
        response = page(answer.log) if answer.result is None else octets(answer.result)
        response.headers[EXECUTION_HEADER] = execution.id
        return response

    async def count(self, call: Call) -> web.StreamResponse:
        """GET /{actor}/messages: Count the messages that wait."""
        result: MailboxShown = {"messages": self._messages.waiting(call.actor), "_links": self._links(call)}
        return self._replies.as_is(result, _SUCCESS)

    async def purge(self, call: Call) -> web.StreamResponse:
        """DELETE /{actor}/messages: Empty the mailbox."""
        await self._messages.purge(call.actor)
        result: MailboxPurged = {"msg": "Actor mailbox purged.", "_links": self._links(call)}
        return self._replies.as_is(result, _SUCCESS)

    async def _message(self, call: Call, in_query: str | None, variables: Mapping[str, str]) -> Message:
        """The message by the rules of spec/actors-api 3.1; built-in reactors take any text, and read it themselves."""
        if call.actor.is_native and kind_of_body(call.request) != MULTIPART:
            text = await read_text(call.request, self._max_reactor_bytes)
            labelled = is_json(call.request)
            return await asyncio.to_thread(_for_reactor, text, in_query, variables, labelled=labelled)
        if is_json(call.request):
            text = await read_text(call.request, self._max_text_bytes)
            if text.strip():
                return _from_json(text, in_query, variables)
        if in_query:
            # Read nevertheless: a request that breaks off is no message.
            await read_bytes(call.request, self._max_text_bytes)
            return _text_message(in_query, variables)
        if kind_of_body(call.request) == MULTIPART:
            return _text_message(_named(await read_multipart(call.request, self._max_text_bytes)), variables)
        text = await read_text(call.request, self._max_text_bytes)
        in_form = _named(_form(text))
        return _text_message(in_form, variables) if in_form else _from_unlabelled(text, variables)

    def _links(self, call: Call) -> MailboxLinks:
        return {
            "self": self._mailbox_link(call),
            "owner": self._replies.profile_link(call.dialect, call.actor.owner),
        }

    def _mailbox_link(self, call: Call) -> str:
        return f"{self._replies.actor_link(call.dialect, call.actor.id)}/messages"


def _from_json(text: str, in_query: str | None, variables: Mapping[str, str]) -> Message:
    value = parse_json(text)
    named = value.get("message") if isinstance(value, dict) else None
    if isinstance(named, str) and named:
        return _text_message(named, variables)
    if named not in (None, ""):
        return Message("application/json", json.dumps(named, ensure_ascii=False), named, variables)
    if in_query:
        return _text_message(in_query, variables)
    # The very bytes that were sent. An empty object or array is no JSON message in the reference's eyes, but a text.
    return Message("application/json" if value else "str", text, value, variables)


def _from_unlabelled(text: str, variables: Mapping[str, str]) -> Message:
    try:
        value = parse_json(text)
    except BadRequest as error:
        raise InvalidMessage from error
    return Message("str", text, value, variables)


def _for_reactor(text: str, in_query: str | None, variables: Mapping[str, str], *, labelled: bool) -> Message:
    """What a built-in reactor gets: as other actors, but for texts that are no JSON, or empty, which it gets as well.

    `labelled` says that the sender called it JSON.
    """
    with suppress(BadRequest):
        if labelled and text.strip():
            return _from_json(text, in_query, variables)
    if in_query:
        return _text_message(in_query, variables)
    with suppress(BadRequest):
        if in_form := _named(_form(text)):
            return _text_message(in_form, variables)
    with suppress(BadRequest):
        return _from_unlabelled(text, variables)
    return Message("str", text, text, variables)


def _text_message(text: str | None, variables: Mapping[str, str]) -> Message:
    if not text:
        raise InvalidMessage
    return Message("str", text, text, variables)


def _named(pairs: Pairs) -> str | None:
    """The first value with the name `message` that is not empty."""
    return next((value for name, value in pairs if name == "message" and value), None)


def _form(text: str) -> Pairs:
    # JSON sent by `curl -d` is labelled as a form, too, and may hold signs that no form has.
    return () if text.lstrip()[:1] in ("{", "[", '"') else parse_form(text)


def _variables(call: Call) -> dict[str, str]:
    """The query parameters for the container's environment, the first of each name (spec/actors-api 3.2).

    The Indexer gets all filters, if there are several, as a JSON list.
    """
    variables: dict[str, str] = {}
    for name, value in call.query:
        if name not in _NOT_FOR_CONTAINER and not is_reserved(name):
            variables.setdefault(name, value)
    filters = [value for name, value in call.query if name == _FILTERS]
    if len(filters) > 1 and call.actor.builtin == INDEXER:
        variables[_FILTERS] = json.dumps(filters)
    return variables


def _is_synchronous(call: Call) -> bool:
    """Whether the sender waits for the answer: `_abaco_synchronous=true`, in any case (spec/actors-api 3.4)."""
    return next((value for name, value in call.query if name == _SYNCHRONOUS), "").lower() == "true"

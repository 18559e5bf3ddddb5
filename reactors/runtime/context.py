"""What an execution was started with, from its environment (spec/pipelinejobs 8.4, spec/actors-api 5)."""

from __future__ import annotations

import os
import secrets
import string
from pathlib import Path
from typing import Mapping

from reactors.runtime.attributes import AttributeDict, wrapped
from reactors.runtime.messages import parsed

BINARY_MESSAGE = Path("/_abaco_binary_data")
"""Where the bytes of a binary message are."""

_NAMES = {
    "username": "_abaco_username",
    "state": "_abaco_actor_state",
    "actor_id": "_abaco_actor_id",
    "actor_dbid": "_abaco_actor_dbid",
    "actor_name": "_abaco_actor_name",
    "actor_repo": "_abaco_container_repo",
    "execution_id": "_abaco_execution_id",
    "worker_id": "_abaco_worker_id",
}
_INVENTED = ("actor_id", "execution_id", "worker_id")
_LETTERS = string.ascii_letters + string.digits
_ID_LENGTH = 13


def get_context(environment: Mapping[str, str] | None = None) -> AttributeDict:
    """The whole environment, which has the parameters of the message's query, and over it the fields of the execution.

    `message_dict` is the message as an object or a list, `{}` if it is neither; `raw_message` its text. What is not there
    is None. Outside a container, where there is no `_abaco_actor_id`, ids are invented and `MSG` is the message.
    """
    environment = os.environ if environment is None else environment
    message = parsed(environment.get("MSG"))
    context = AttributeDict(dict(environment))
    context.update({name: environment.get(variable) for name, variable in _NAMES.items()})
    context.update(
        raw_message=environment.get("MSG"),
        content_type=environment.get("_abaco_Content-Type") or environment.get("_abaco_Content_Type"),
        message_dict=wrapped(message.value if isinstance(message.value, (dict, list)) else {}),
        raw_message_parse_log="\n".join(message.log),
    )
    if not in_container(environment):
        context.update({name: "".join(secrets.choice(_LETTERS) for _ in range(_ID_LENGTH)) for name in _INVENTED})
        context.update(actor_dbid=f"local_{context.actor_id}", username=environment.get("USER"), actor_name="local")
    return context


def in_container(environment: Mapping[str, str]) -> bool:
    """Whether this is the environment of an execution."""
    return bool(environment.get("_abaco_actor_id"))


def get_binary_message() -> bytes:
    """The bytes of a binary message.

    Raises:
        FileNotFoundError: the message was none.
    """
    return BINARY_MESSAGE.read_bytes()

"""Messages to built-in reactors, as their users send them and read the logs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from tests.abacod.api.serving import Client, Serving


@dataclass(frozen=True)
class Told:
    """What became of a message: the exit code, and the lines of the log without the actor's id."""

    execution: str
    code: int
    lines: list[str]

    @property
    def last(self) -> str:
        return self.lines[-1]


async def tell(served: Serving, client: Client, reactor: str, message: Any, **query: str) -> Told:
    """Send a message, and wait for its end; a message of bytes goes out as they are."""
    path = f"/v3/actors/{reactor}"
    asked = f"?{urlencode(query)}" if query else ""
    if isinstance(message, bytes):
        body: dict[str, Any] = {"data": message, "headers": {"Content-Type": "application/octet-stream"}}
    else:
        body = {"json": {"message": message if isinstance(message, str) else json.dumps(message)}}
    sent = await client.post(f"{path}/messages{asked}", **body, expect=200)
    execution = sent.result["execution_id"]
    ended = await served.until_ended(client, reactor, execution)
    log = (await client.get(f"{path}/executions/{execution}/logs", expect=200)).result["logs"]
    lines = log.splitlines()
    actor = ended["actor_id"]
    assert all(line.startswith(f"{actor} ") for line in lines)
    return Told(execution, ended["exit_code"], [line.removeprefix(f"{actor} ") for line in lines])


UUID: Final = "1064aaf1-459c-5e42-820d-b822aa4b3990"
TACOBOT: Final[dict[str, Any]] = {
    "id": "tacc/tacobot:9000",
    "name": "Tacobot 9000",
    "description": "Creates even better breakfast tacos",
    "components": [
        {"id": "eqMyqq4xB1Lqa", "options": {}, "repo": "index.docker.io/tacc/tacbobot:latest"},
        {"id": "bbq-brisket-0.5.0", "inputs": {}, "parameters": {"smoke": True}},
    ],
    "processing_levels": ["1"],
    "accepts": ["CSV"],
    "produces": ["PNG"],
}


class Manager:
    """The Pipelines Manager, as one user meets it."""

    def __init__(self, served: Serving, client: Client) -> None:
        self._served = served
        self.client = client

    async def __call__(self, message: Any, **query: str) -> Told:
        return await tell(self._served, self.client, "pipelines-manager", message, **query)

    async def create(self, document: dict[str, Any] = TACOBOT) -> tuple[str, str]:
        """UUID and token of a new pipeline."""
        told = await self(document)
        assert told.code == 0, told
        words = told.last.split()
        return words[3], words[-1]

    async def record(self, uuid: str) -> dict[str, Any]:
        return dict((await self.client.get(f"/v3/pipelines/{uuid}", expect=200)).result)

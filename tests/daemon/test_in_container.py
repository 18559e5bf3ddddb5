"""Unmodified tapipy inside containers, against a real daemon that listens on loopback only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tests.daemon.process import Client, DaemonProcess

pytestmark = [pytest.mark.docker, pytest.mark.daemon, pytest.mark.timeout(90)]

UID = 1234


@dataclass
class Lab:
    """A daemon, a user of it, and the image with Python."""

    daemon: DaemonProcess
    client: Client
    image: str

    async def register(self, program: str, **more: Any) -> str:
        """The id of an actor that runs the Python text."""
        body = {"image": self.image, "default_environment": {"PROGRAM": program}, **more}
        return str((await self.client.call("POST", "", json=body))["id"])

    async def run(self, actor_id: str, **body: Any) -> str:
        """Send a message; what its execution printed."""
        sent = await self.client.call("POST", f"/{actor_id}/messages", **body)
        await self.daemon.ended({sent["execution_id"]})
        return await self.log(actor_id, sent["execution_id"])

    async def log(self, actor_id: str, execution_id: str) -> str:
        """What an execution that ended well printed."""
        log = await self.client.call("GET", f"/{actor_id}/executions/{execution_id}/logs")
        execution = await self.client.call("GET", f"/{actor_id}/executions/{execution_id}")
        assert execution["exit_code"] == 0, log["logs"]
        return str(log["logs"])


@pytest.fixture
async def lab(tmp_path: Path, python_image: str) -> AsyncIterator[Lab]:
    async with DaemonProcess(tmp_path, f"[runs]\nactor_uid = {UID}") as daemon:
        token = daemon.token("alice", "abaco_privileged")
        await daemon.start()
        async with Client.opened(daemon, token) as client:
            yield Lab(daemon, client, python_image)
        await daemon.stop()


CONTEXT = """
import json, os
from tapipy.actors import get_context
context = get_context()
print(json.dumps({**context, "uid": os.getuid(), "by_attribute": context.actor_id}))
"""


async def test_the_context_tells_what_the_documentation_says(lab: Lab) -> None:
    actor_id = await lab.register(CONTEXT, name="teller", stateless=False)
    await lab.client.call("POST", f"/{actor_id}/state", json={"count": 1})
    seen = json.loads(await lab.run(actor_id, data={"message": "hello"}))
    assert seen["raw_message"] == seen["MSG"] == "hello"
    assert seen["content_type"] == "str"
    assert seen["message_dict"] == {}
    assert (seen["actor_id"], seen["actor_name"], seen["actor_repo"]) == (actor_id, "teller", lab.image)
    assert seen["by_attribute"] == actor_id
    assert seen["actor_dbid"] == f"dev_{actor_id}"
    assert seen["username"] == "alice"
    assert json.loads(seen["state"]) == {"count": 1}
    assert seen["uid"] == UID
    executions = await lab.client.call("GET", f"/{actor_id}/executions")
    assert seen["execution_id"] == executions["executions"][0]["id"]
    shown = await lab.client.call("GET", f"/{actor_id}/executions/{seen['execution_id']}")
    assert seen["worker_id"] == shown["worker_id"]
    assert seen["_abaco_access_token"] == ""


async def test_json_arrives_as_a_dictionary(lab: Lab) -> None:
    actor_id = await lab.register(CONTEXT)
    message = {"yes": True, "no": False, "nothing": None, "nested": {"list": [1, "ü"]}}
    seen = json.loads(await lab.run(actor_id, json=message))
    assert seen["content_type"] == "application/json"
    assert seen["message_dict"] == message


CALLS_BACK = """
import json, os
from tapipy.actors import get_client, get_context
context = get_context()
client = get_client()
seen = {"server": os.environ["_abaco_api_server"], "state": context.state, "tenant": client.tenant_id}
seen["me"] = client.actors.get_actor(actor_id=context.actor_id).owner
sent = client.actors.send_message(actor_id=context.message_dict["other"], message="from inside")
seen["execution"] = sent.execution_id
client.actors.update_state(actor_id=context.actor_id, request_body={"ran": context.execution_id})
print(json.dumps(seen))
"""


async def test_an_actor_with_a_token_calls_back(lab: Lab) -> None:
    # given two actors, of which one may call the API as its owner
    other = await lab.register(CONTEXT)
    actor_id = await lab.register(CALLS_BACK, token=True, stateless=False)
    # when it asks for itself, sends the other a message, and sets its state
    first = json.loads(await lab.run(actor_id, json={"other": other}))
    # then it has found its tenant, and the message came from the owner
    assert (first["me"], first["tenant"], first["state"]) == ("alice", "dev", "{}")
    assert first["server"] != lab.daemon.url
    assert first["server"].endswith(f":{lab.daemon.port}")
    await lab.daemon.ended({first["execution"]})
    got = json.loads(await lab.log(other, first["execution"]))
    assert (got["raw_message"], got["username"]) == ("from inside", "alice")
    # and the next execution sees the state
    ran = json.loads(json.loads(await lab.run(actor_id, json={"other": other}))["state"])["ran"]
    executions = await lab.client.call("GET", f"/{actor_id}/executions")
    assert ran == executions["executions"][0]["id"]


OUTSIDER = """
import json, os, urllib.error, urllib.request
def status(path):
    try:
        return urllib.request.urlopen(os.environ["_abaco_api_server"] + path, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
print(json.dumps([status(path) for path in ("/v3/tenants", "/v3/actors", "/v3/oauth2/profiles")]))
"""


async def test_without_a_token_the_api_gives_nothing_away(lab: Lab) -> None:
    assert json.loads(await lab.run(await lab.register(OUTSIDER), data={"message": "x"})) == [200, 401, 401]


BINARY = """
import hashlib, os
from tapipy.actors import get_binary_message, get_context
data = get_binary_message()
print(os.getuid(), get_context().content_type, get_context().raw_message, len(data), hashlib.sha256(data).hexdigest())
"""


@pytest.mark.parametrize("own_user", [True, False])
async def test_binary_messages_arrive_whole(lab: Lab, own_user: bool) -> None:
    actor_id = await lab.register(BINARY, use_container_uid=own_user)
    for size in (5, 65_536, 65_537, 1_048_576):
        data = bytes(number % 251 for number in range(size))
        seen = await lab.run(actor_id, data=data, headers={"Content-Type": "application/octet-stream"})
        digest = hashlib.sha256(data).hexdigest()
        assert seen.split() == ["0" if own_user else str(UID), "application/octet-stream", "None", str(size), digest]


RESULTS = """
import os
from tapipy.actors import send_bytes_result, send_python_result
send_bytes_result(b"first")
send_python_result({"second": [1, None]})
send_bytes_result(bytes(131_072))
for number in range(50):
    send_bytes_result(b"%d" % number)
print(os.getuid())
"""


@pytest.mark.parametrize("own_user", [True, False])
async def test_results_come_out_in_the_order_in_which_any_user_sent_them(lab: Lab, own_user: bool) -> None:
    actor_id = await lab.register(RESULTS, use_container_uid=own_user)
    sent = await lab.client.call("POST", f"/{actor_id}/messages", data={"message": "x"})
    await lab.daemon.ended({sent["execution_id"]})
    assert await lab.log(actor_id, sent["execution_id"]) == ("0\n" if own_user else f"{UID}\n")
    path = f"/{actor_id}/executions/{sent['execution_id']}/results"
    assert await lab.client.read(path) == b"first"
    assert cloudpickle.loads(await lab.client.read(path)) == {"second": [1, None]}
    assert await lab.client.read(path) == bytes(131_072)
    assert [await lab.client.read(path) for _ in range(50)] == [b"%d" % number for number in range(50)]
    assert await lab.client.read(path) == b""

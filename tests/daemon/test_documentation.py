"""The examples of Abaco's user documentation, chapter by chapter, as a reader types them, on one real daemon.

Only the server's name, ids, images and the base image differ from what is printed there, and `-s` keeps curl quiet.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from abacod.services.accounts import hash_password
from tests.daemon.documentation import HOST, PASSWORD, Reader, build, remove
from tests.daemon.process import DaemonProcess
from tests.docker_images import image_name
from tests.hooks import HookServer

pytestmark = [
    pytest.mark.docker,
    pytest.mark.daemon,
    pytest.mark.timeout(60),
    pytest.mark.asyncio(loop_scope="module"),
]

SETTINGS: Final = '[engine]\npull_policy = "missing"\n[workers]\nautoscaler_seconds = 1'

WORDS: Final = """
# example.py
from tapipy.actors import get_context
def string_count(message):
    words = message.split(' ')
    word_count = len(words)
    print('Number of words is: ' + str(word_count))
context = get_context()
message = context['raw_message']
string_count(message)
"""

CLASSIFIER: Final = """
from tapipy.actors import get_binary_message, send_bytes_result, send_python_result
bin_message = get_binary_message()
print(len(bin_message))
send_bytes_result(b'80% golden retriever')
send_python_result({'labrador': 12})
"""

CONTEXT: Final = """
import json
from tapipy.actors import get_context
context = get_context()
message = context['raw_message']
print(json.dumps([message, context['state'], context['message_dict'], context['username']]))
"""

PROGRAMS: Final = {
    "user/my_actor": WORDS,
    "abacosamples/binary_message_classifier": CLASSIFIER,
    "abacosamples/context": CONTEXT,
}

ADMINISTRATOR: Final = "boss"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader(
    tmp_path_factory: pytest.TempPathFactory, docker_images: str, python_image: str
) -> AsyncIterator[Reader]:
    # `abacosamples/test` and `wc` print all that they were given.
    environment = image_name(docker_images, "environment")
    images = {name: f"{docker_images}/{name.rpartition('/')[2]}" for name in PROGRAMS}
    for name, program in PROGRAMS.items():
        dockerfile = f'FROM {python_image}\nADD example.py /example.py\nCMD ["python", "/example.py"]\n'
        await build(images[name], {"Dockerfile": dockerfile, "example.py": program})
    folder = tmp_path_factory.mktemp("reader")
    try:
        async with DaemonProcess(folder, SETTINGS) as daemon:
            daemon.add_user("jstubbs", hash_password(PASSWORD))
            token = daemon.token("jstubbs")
            await daemon.start()
            words = {**images, "abacosamples/test": environment, "abacosamples/wc": environment}
            yield Reader(daemon, token, folder, words)
            await daemon.stop()
    finally:
        await remove(list(images.values()))


def variables(log: str) -> dict[str, str]:
    """What a container printed of its environment."""
    return dict(line.partition("=")[::2] for line in log.split("\0") if line)


async def output(reader: Reader, actor_id: str, execution_id: str) -> str:
    """The log of an execution, once it has ended."""
    await reader.daemon.ended({execution_id})
    typed = """curl -s -H "X-Tapis-Token: $TOKEN" \\
https://tacc.tapis.io/v3/actors/<actor_id>/executions/<execution_id>/logs"""
    logs = await reader.result(typed, actor_id=actor_id, execution_id=execution_id)
    return str(logs["logs"])


# --- Getting Started, Abaco Quickstart --------------------------------------------------------------------------------


async def test_quickstart(reader: Reader) -> None:
    seen = await reader.python("""
seen["token"] = t.access_token.access_token
seen["profile"] = t.authenticator.get_profile(username='jstubbs').username
my_actor = {"image": "user/my_actor", "name": "word_counter", "description": "Actor that counts words."}
made = t.actors.create_actor(**my_actor)
seen["made"] = [made.status, made.owner, made.description, made.queue, made.stateless, made._links.executions]
until("READY", lambda: t.actors.get_actor(actor_id=made.id))
for name, how in (
    ("request_body", dict(request_body={'message': 'Actor, please count these words.'})),
    ("message", dict(message='Actor, please count these words.')),
):
    sent = t.actors.send_message(actor_id=made.id, **how)
    done = until("COMPLETE", lambda: t.actors.get_execution(actor_id=made.id, execution_id=sent.execution_id))
    assert done.worker_id and done.finish_time and done.final_state.Status == "exited"
    seen[name] = t.actors.get_execution_logs(actor_id=made.id, execution_id=sent.execution_id).logs
    seen["exit_code"] = done.exit_code
""")
    assert seen["token"].startswith("ey")
    assert seen["profile"] == "jstubbs"
    status, *made, executions = seen["made"]
    assert status in ("SUBMITTED", "READY")
    assert made == ["jstubbs", "Actor that counts words.", "default", True]
    assert executions.startswith(f"{reader.daemon.url}/v3/actors/")
    # The tapipy of today leaves the message out of the older form; the execution runs nevertheless.
    assert seen["request_body"] == "Number of words is: 1\n"
    assert seen["message"] == "Number of words is: 5\n"
    assert seen["exit_code"] == 0


# --- Actor Registration, Context --------------------------------------------------------------------------------------


async def test_registration_and_context(reader: Reader) -> None:
    made = await reader.result("""curl -s -H "X-Tapis-Token: $TOKEN" \\
-H "Content-Type: application/json" \\
-d '{"image": "abacosamples/test", "name": "test", "description": "My test actor using the abacosamples image.", "default_environment":{"key1": "value1", "key2": "value2"} }' \\
https://tacc.tapis.io/v3/actors""")  # noqa: E501 - as it is printed
    assert (made["name"], made["default_environment"]) == ("test", {"key1": "value1", "key2": "value2"})
    sent = await reader.result(
        """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "message=<your content here>" \\
https://tacc.tapis.io/v3/actors/<actor_id>/messages?key2=other""",
        actor_id=made["id"],
    )
    assert sent["msg"] == "<your content here>"
    seen = variables(await output(reader, made["id"], sent["execution_id"]))
    execution = await reader.get(f"/{made['id']}/executions/{sent['execution_id']}")
    assert seen["MSG"] == "<your content here>"
    assert (seen["key1"], seen["key2"]) == ("value1", "other")
    assert seen["_abaco_actor_id"] == made["id"]
    assert seen["_abaco_actor_dbid"].endswith(made["id"])
    assert seen["_abaco_container_repo"] == made["image"]
    assert seen["_abaco_execution_id"] == execution["id"]
    assert seen["_abaco_worker_id"] == execution["worker_id"]
    assert seen["_abaco_Content-Type"] == "str"
    assert seen["_abaco_username"] == "jstubbs"
    assert seen["_abaco_actor_state"] == "{}"
    assert seen["_abaco_api_server"].startswith("http")
    assert seen["_abaco_access_token"] == ""


# --- Messages, Executions, and Logs -----------------------------------------------------------------------------------


async def test_messages_executions_and_logs(reader: Reader) -> None:
    actor_id = await reader.register("abacosamples/test")
    sent = await reader.result(
        """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d '{"arbitrary": "json"}' \\
https://tacc.tapis.io/v3/actors/<actor_id>/messages""",
        actor_id=actor_id,
    )
    assert variables(await output(reader, actor_id, sent["execution_id"]))["MSG"] == '{"arbitrary": "json"}'
    count = """curl -s -H "X-Tapis-Token: $TOKEN" \\
https://tacc.tapis.io/v3/actors/<actor_id>/messages"""
    assert (await reader.result(count, actor_id=actor_id))["messages"] == 0
    one = """curl -s -H "X-Tapis-Token: $TOKEN" \\
https://tacc.tapis.io/v3/actors/<actor_id>/executions/<execution_id>"""
    shown = await reader.result(one, actor_id=actor_id, execution_id=sent["execution_id"])
    assert (shown["status"], shown["exit_code"], shown["final_state"]["ExitCode"]) == ("COMPLETE", 0, 0)
    assert {"cpu", "io", "runtime", "executor", "worker_id", "start_time", "finish_time"} <= set(shown)
    every = """curl -s -H "X-Tapis-Token: $TOKEN" \\
https://tacc.tapis.io/v3/actors/<actor_id>/executions"""
    listed = await reader.result(every, actor_id=actor_id)
    assert [each["id"] for each in listed["executions"]] == [sent["execution_id"]]
    assert listed["total_executions"] == 1


async def test_binary_messages_and_results(reader: Reader) -> None:
    (reader.folder / "dog.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100_000))
    seen = await reader.python("""
my_actor = {'image': 'abacosamples/binary_message_classifier',
'name': 'JPEG_classifier',
'description': 'Labels a read in binary image'}
actor_data = t.actors.create_actor(**my_actor)
with open('dog.jpg', 'rb') as file:
    binary_image = file.read()
result = t.actors.send_binary_message(actor_id = actor_data.id,
message = binary_image)
execution = t.actors.get_execution(actor_id = actor_data.id,
execution_id = result.execution_id)
until("COMPLETE", lambda: t.actors.get_execution(actor_id=actor_data.id, execution_id=result.execution_id))
exec_logs = t.actors.get_execution_logs(actor_id = actor_data.id,
execution_id = result.execution_id)
result_of_old_form = t.actors.send_binary_message(actor_id = actor_data.id,
request_body = binary_image)
seen = {"actor": actor_data.id, "execution": result.execution_id, "logs": exec_logs.logs, "msg": result_of_old_form.msg}
""")
    assert (seen["logs"], seen["msg"]) == ("100003\n", "binary - omitted")
    # As printed this is a POST, for it carries data.
    fetch = """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "message=<your content here>" \\
https://tacc.tapis.io/v3/actors/<actor_id>/executions/<execution_id>/results | base64 -w0"""
    ids = {"actor_id": seen["actor"], "execution_id": seen["execution"]}
    # `80% golden retriever`
    assert await reader.shell(fetch, **ids) == "ODAlIGdvbGRlbiByZXRyaWV2ZXI="
    assert await reader.shell(fetch, **ids)
    assert await reader.shell(fetch, **ids) == ""
    answer = await reader.shell(
        """curl -si -H "X-Tapis-Token: $TOKEN" -H "Content-Type: application/octet-stream" --data-binary @dog.jpg \\
https://tacc.tapis.io/v3/actors/<actor_id>/messages?_abaco_synchronous=true""",
        **ids,
    )
    assert "\nContent-Type: application/octet-stream" in answer
    assert answer.endswith("80% golden retriever")


async def test_synchronous_messages(reader: Reader) -> None:
    typed = """curl -si -H "X-Tapis-Token: $TOKEN" \\
-d "message=<your content here>" \\
https://tacc.tapis.io/v3/actors/<actor_id>/messages?_abaco_synchronous=true"""
    answer = await reader.shell(typed, actor_id=await reader.register("abacosamples/test"))
    assert answer.startswith("HTTP/1.1 200")
    assert re.search(r"^content-type: text/html; charset=utf-?8", answer, re.MULTILINE | re.IGNORECASE)
    assert "MSG=<your content here>\0" in answer
    # An actor that takes its time, with four messages that wait.
    actor_id = await reader.register(reader.words["abacosamples/test"].replace("environment", "obey"), stateless=False)
    for _ in range(5):
        await reader.result(
            """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "message=x" https://tacc.tapis.io/v3/actors/<actor_id>/messages""",
            actor_id=actor_id,
        )
    answer = await reader.shell(typed, actor_id=actor_id)
    assert answer.startswith("HTTP/1.1 400")
    await reader.result(
        'curl -s -X DELETE -H "X-Tapis-Token: $TOKEN" https://tacc.tapis.io/v3/actors/<actor_id>', actor_id=actor_id
    )


# --- Database Search --------------------------------------------------------------------------------------------------


async def test_search(reader: Reader) -> None:
    actor_id = await reader.register("abacosamples/test", description="stringToSearchFor")
    await reader.shell(
        'curl -s -H "X-Tapis-Token: $TOKEN" -d message=x https://tacc.tapis.io/v3/actors/<actor_id>/messages?_abaco_synchronous=true',
        actor_id=actor_id,
    )
    # As printed the line is for no shell and no curl: it wants quotes and -g, and no space.
    for space in ("", "%20"):
        found = await reader.curl(
            """curl -gs -H "X-Tapis-Token: $TOKEN" \\
'https://tacc.tapis.io/v3/actors/search/actors?image=abacosamples/test&create_time.gt=2020-04-29&status.in=["READY",SPACE"BUSY"]'""".replace(
                "SPACE", space
            )
        )
        assert found["message"] == "Search completed successfully."
        assert found["result"]["_metadata"]["record_limit"] == 10
        assert actor_id in [each["id"] for each in found["result"]["search"]]
    for path in (f"search/actors/{actor_id}/executions", f"{actor_id}/executions"):
        typed = f"""curl -s -H "X-Tapis-Token: $TOKEN" \\
'https://tacc.tapis.io/v3/actors/{path}?status=COMPLETE&start_time.gt=2019'"""
        found = await reader.curl(typed)
        assert found["message"] == "Executions search completed successfully."
        assert found["result"]["_metadata"] == {
            "count_returned": 1,
            "record_limit": 10,
            "records_skipped": 0,
            "total_count": 1,
        }
        assert found["result"]["search"][0]["actor_id"] == actor_id
    assert [each["id"] for each in (await reader.get("/search/actors?search=stringToSearchFor"))["search"]] == [
        actor_id
    ]
    assert (await reader.get("/search/executions?limit=1&skip=9999"))["search"] == []
    for database in ("actors", "workers", "executions", "logs"):
        assert set(await reader.get(f"/search/{database}")) == {"_metadata", "search"}


# --- Actor State ------------------------------------------------------------------------------------------------------


async def test_state(reader: Reader) -> None:
    made = await reader.result("""curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "image=abacosamples/context&stateless=false" \\
https://tacc.tapis.io/v3/actors""")
    assert made["stateless"] is False
    update = """curl -s -H "X-Tapis-Token: $TOKEN" \\
-H "Content-Type: application/json" \\
-d '{"some variable": "value", "another variable": "value2"}' \\
https://tacc.tapis.io/v3/actors/<actor_id>/state"""
    expected = {"some variable": "value", "another variable": "value2"}
    assert (await reader.result(update, actor_id=made["id"]))["state"] == expected
    shown = """curl -s -H "X-Tapis-Token: $TOKEN" \\
https://tacc.tapis.io/v3/actors/<actor_id>/state"""
    assert (await reader.result(shown, actor_id=made["id"]))["state"] == expected
    send = 'curl -s -H "X-Tapis-Token: $TOKEN" -d message=x https://tacc.tapis.io/v3/actors/<actor_id>/messages?_abaco_synchronous=true'
    message, state, _, username = json.loads(await reader.shell(send, actor_id=made["id"]))
    assert (message, json.loads(state), username) == ("x", expected, "jstubbs")
    seen = await reader.python("""
actor = {"image": "abacosamples/test",
"stateless": "False"}
actor_res = t.actors.create_actor(**actor)
state = {"some variable": "value", "another variable": "value2"}
t.actors.update_state(actor_id = actor_res.id,
request_body = state)
seen = {"stateless": actor_res.stateless, "state": t.actors.get_state(actor_id=actor_res.id).state.__dict__}
""")
    assert seen == {"stateless": False, "state": expected}
    stateless = await reader.curl(update, actor_id=await reader.register("abacosamples/test"))
    assert (stateless["status"], stateless["message"]) == ("error", "actor is stateless.")


# --- Actor Sharing and Nonces, Actor Aliases --------------------------------------------------------------------------


async def test_sharing(reader: Reader) -> None:
    actor_id = await reader.register("abacosamples/test")
    jdoe = Reader(reader.daemon, reader.daemon.token("jdoe"), reader.folder)
    look = 'curl -s -H "X-Tapis-Token: $TOKEN" https://tacc.tapis.io/v3/actors/<actor_id>'
    assert (await jdoe.curl(look, actor_id=actor_id))["status"] == "error"
    granted = await reader.curl(
        """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "user=jdoe&level=READ" \\
https://tacc.tapis.io/v3/actors/<actor_id>/permissions""",
        actor_id=actor_id,
    )
    assert (granted["message"], granted["result"]) == (
        "Permission added successfully.",
        {"jdoe": "READ", "jstubbs": "UPDATE"},
    )
    assert (await jdoe.result(look, actor_id=actor_id))["id"] == actor_id
    send = 'curl -s -H "X-Tapis-Token: $TOKEN" -d message=x https://tacc.tapis.io/v3/actors/<actor_id>/messages'
    assert (await jdoe.curl(send, actor_id=actor_id))["status"] == "error"
    world = """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "user=ABACO_WORLD&level=READ" \\
https://tacc.tapis.io/v3/actors/<actor_id>/permissions"""
    assert (await reader.result(world, actor_id=actor_id))["ABACO_WORLD"] == "READ"
    anyone = Reader(reader.daemon, reader.daemon.token("jsmith"), reader.folder)
    assert (await anyone.result(look, actor_id=actor_id))["id"] == actor_id
    assert (await anyone.curl(send, actor_id=actor_id))["status"] == "error"
    for level in ("user=jdoe&level=NONE", "user=ABACO_WORLD&level=NONE"):
        await reader.result(world.replace("user=ABACO_WORLD&level=READ", level), actor_id=actor_id)
    assert (await jdoe.curl(look, actor_id=actor_id))["status"] == "error"


async def test_nonces_and_aliases(reader: Reader) -> None:
    actor_id = await reader.register("abacosamples/wc")
    create = """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "maxUses=5&level=READ" \\
https://tacc.tapis.io/v3/actors/<actor_id>/nonces"""
    nonce = await reader.curl(create, actor_id=actor_id)
    assert nonce["message"] == "Actor nonce created successfully."
    assert {name: nonce["result"][name] for name in ("level", "max_uses", "current_uses", "remaining_uses")} == {
        "level": "READ",
        "max_uses": 5,
        "current_uses": 0,
        "remaining_uses": 5,
    }
    # What is printed sends a message, for which a nonce for READ is not enough.
    redeem = """curl -s -X POST -d "message=<your content here>" \\
https://tacc.tapis.io/v3/actors/<actor_id>/messages?x-nonce=TACC_vr9rMO6Zy0yHz"""
    reader.words["TACC_vr9rMO6Zy0yHz"] = nonce["result"]["id"]
    assert (await reader.curl(redeem, actor_id=actor_id))["status"] == "error"
    unlimited = await reader.result(create.replace("maxUses=5&level=READ", "maxUses=-1"), actor_id=actor_id)
    assert (unlimited["max_uses"], unlimited["remaining_uses"]) == (-1, -1)
    reader.words["TACC_vr9rMO6Zy0yHz"] = unlimited["id"]
    assert (await reader.result(redeem, actor_id=actor_id))["msg"] == "<your content here>"

    reader.words["6PlMbDLa4zlON"] = actor_id
    alias = await reader.curl("""curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "alias=counter&actor_id=6PlMbDLa4zlON" \\
https://tacc.tapis.io/v3/actors/aliases""")
    assert alias["message"] == "Actor alias created successfully."
    assert (alias["result"]["alias"], alias["result"]["actor_id"]) == ("counter", actor_id)
    by_name = await reader.curl("""curl -s -H "X-Tapis-Token: $TOKEN" \\
https://tacc.tapis.io/v3/actors/counter""")
    assert by_name["result"] == await reader.get(f"/{actor_id}")
    for_alias = """curl -s -H "X-Tapis-Token: $TOKEN" \\
-d "maxUses=5&level=READ" \\
https://tacc.tapis.io/v3/actors/aliases/counter/nonces"""
    nonce = await reader.result(for_alias)
    opened = await reader.result(f"curl -s {HOST}/v3/actors/counter?x-nonce={nonce['id']}")
    assert opened["id"] == actor_id
    assert (await reader.curl(for_alias.replace("READ", "UPDATE")))["status"] == "error"


# --- Actor Events, Links and WebHooks ---------------------------------------------------------------------------------


async def test_links(reader: Reader) -> None:
    target = await reader.register("abacosamples/wc")
    reader.words["6PlMbDLa4zlON"] = target
    linked = await reader.result("""curl -s -H "X-Tapis-Token: $TOKEN" \\
-H "Content-Type: application/json" \\
-d '{"image": "abacosamples/test", "name": "test", "link": "6PlMbDLa4zlON", "description": "My test actor using the abacosamples image.", "default_environment":{"key1": "value1", "key2": "value2"} }' \\
https://tacc.tapis.io/v3/actors""")  # noqa: E501 - as it is printed
    assert linked["link"] == target
    # The actor becomes ready, and tells the other one.
    told = await reader.until(f"/{target}/executions", lambda listed: listed["total_executions"] == 1)
    seen = variables(await output(reader, target, told["executions"][0]["id"]))
    event = json.loads(seen["MSG"])
    assert (event["event_type"], event["actor_id"]) == ("ACTOR_READY", linked["id"])
    assert {"tenant_id", "actor_dbid", "event_time_utc", "event_time_display", "status_message"} <= set(event)
    assert (seen["_abaco_actor_id"], seen["_abaco_username"]) == (target, "Abaco Event")
    circle = await reader.curl(
        """curl -s -X PUT -H "X-Tapis-Token: $TOKEN" -d "image=abacosamples/wc&link=<linked>" \\
https://tacc.tapis.io/v3/actors/6PlMbDLa4zlON""",
        linked=linked["id"],
    )
    assert (circle["status"], "cycle" in circle["message"]) == ("error", True)


async def test_webhooks(reader: Reader) -> None:
    async with HookServer.opened() as hooks:
        reader.words["https://eniih104j4tan.x.pipedream.net"] = hooks.url("/hook")
        printed = """curl -s -H "X-Tapis-Token: $TOKEN" \\
-H "Content-Type: application/json" \\
-d '{"image": "abacosamples/test", "name": "test", "webhook": "https://eniih104j4tan.x.pipedream.net", }' \\
https://tacc.tapis.io/v3/actors"""
        # With the comma at its end this is no JSON.
        assert "not valid JSON" in (await reader.curl(printed))["message"]
        made = await reader.result(printed.replace(", }", "}"))
        send = 'curl -s -H "X-Tapis-Token: $TOKEN" -d message=x https://tacc.tapis.io/v3/actors/<actor_id>/messages?_abaco_synchronous=true'
        await reader.shell(send, actor_id=made["id"])
        ready, complete = await hooks.called("/hook", 2)
        assert (ready["event_type"], complete["event_type"]) == ("ACTOR_READY", "EXECUTION_COMPLETE")
        assert (complete["actor_id"], complete["exit_code"], complete["status"]) == (made["id"], 0, "COMPLETE")


# --- Autoscaling Actors -----------------------------------------------------------------------------------------------


async def test_an_idle_pool_goes_to_nothing_but_for_the_hint_sync(reader: Reader) -> None:
    made = await reader.result("""curl -s -H "X-Tapis-Token: $TOKEN" \\
-H "Content-type: application/json" \\
-d '{"image": "abacosamples/wc", "hints": ["sync"]}' \\
https://tacc.tapis.io/v3/actors""")
    assert made["hints"] == ["sync"]
    await reader.until(f"/{made['id']}", lambda actor: actor["status"] == "READY")
    # Registered later: when this one has none left, the autoscaler has looked at both.
    other = await reader.register("abacosamples/wc")
    await reader.until(f"/{other}/workers", lambda workers: workers == [])
    assert [each["status"] for each in await reader.get(f"/{made['id']}/workers")] == ["READY"]


# --- API Reference ----------------------------------------------------------------------------------------------------


async def test_every_endpoint_of_the_reference_answers(reader: Reader) -> None:
    actor_id = await reader.register("abacosamples/wc", stateless=False, hints=["sync"])
    sent = await reader.result(
        'curl -s -H "X-Tapis-Token: $TOKEN" -d message=x https://tacc.tapis.io/v3/actors/<actor_id>/messages',
        actor_id=actor_id,
    )
    await output(reader, actor_id, sent["execution_id"])
    admin = Reader(reader.daemon, reader.daemon.token(ADMINISTRATOR, "abaco_admin"), reader.folder, reader.words)
    own = f"curl -s -H 'X-Tapis-Token: {reader.token}' {HOST}/v3/actors"
    nonce = (await reader.result(f"{own}/{actor_id}/nonces -X POST"))["id"]
    await reader.result(f"{own}/aliases -d 'alias=reference&actor_id={actor_id}'")
    worker = (await reader.get(f"/{actor_id}/workers"))[0]["id"]
    execution = f"/{actor_id}/executions/{sent['execution_id']}"

    async def answer(method: str, path: str, *more: str) -> Any:
        typed = f'curl -s -X {method} -H "X-Tapis-Token: $TOKEN" {" ".join(more)} {HOST}/v3/actors{path}'
        return (await admin.curl(typed))["status"]

    asked = [
        ("GET", "/utilization"),
        ("GET", ""),
        ("GET", "/aliases"),
        ("GET", "/aliases/reference"),
        ("GET", f"/{actor_id}"),
        ("PUT", f"/{actor_id}", "-d image=abacosamples/wc"),
        ("GET", f"/{actor_id}/messages"),
        ("GET", f"/{actor_id}/nonces"),
        ("GET", f"/{actor_id}/nonces/{nonce}"),
        ("GET", f"/{actor_id}/state"),
        ("GET", f"/{actor_id}/workers"),
        ("GET", f"/{actor_id}/workers/{worker}"),
        ("POST", f"/{actor_id}/workers", "-d num=1"),
        ("GET", f"/{actor_id}/permissions"),
        ("GET", f"/{actor_id}/executions"),
        ("GET", execution),
        ("GET", f"{execution}/logs"),
        ("GET", "/search/actors"),
        ("DELETE", f"/{actor_id}/nonces/{nonce}"),
        ("DELETE", "/aliases/reference"),
        ("DELETE", f"/{actor_id}/workers/{worker}"),
        ("DELETE", f"/{actor_id}"),
    ]
    assert {tuple(line): await answer(*line) for line in asked} == dict.fromkeys(asked, "success")
    assert "abacod_actors" in await reader.shell(f"curl -s {HOST}/metrics")

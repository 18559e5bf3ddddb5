"""PipelineJobs Manager: events as messages of every form (spec/pipelinejobs 2.2, 3 and 11.5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from yarl import URL

from abacod.config_pipelines import PipelineSettings
from abacod.errors import IllegalTransition
from abacod.services.tokens import SigningKey
from abacod.store.database import Transaction
from reactors.pipelinejobs.states import TRANSITIONS, JobEvent, JobState
from reactors.ports import Outgoing
from tests.abacod.api.serving import DEV, Client, Serving, multipart, serving
from tests.abacod.api.test_jobs import route_to
from tests.jobbing import DEMO_UUID, IDS, MANAGER, Jobbing, without_indexer

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
JSON: Final = {"Content-Type": "application/json"}
# A body of the jobs service of the first kind, shortened, and one of the later kind.
OLD_CALLBACK: Final = {
    "owner": "tacobot",
    "appId": "tacobot9000-0.1.0u1",
    "executionSystem": "hpc-tacc-stampede2",
    "archivePath": "/products/v2/x",
    "archiveSystem": "data-tacc-cloud",
    "inputs": {"file1": "agave://a/b"},
    "parameters": {"salsa": True},
    "id": "7381691026605150696-242ac11b-0001-007",
    "status": "RUNNING",
    "startTime": None,
    "retries": 0,
    "localId": "123",
    "_links": {"self": {"href": "x"}},
}
NEW_CALLBACK: Final = {
    "owner": "tacobot",
    "appId": "tacobot9000-0.1.0u1",
    "executionSystem": "x",
    "archivePath": "/y",
    "archiveSystem": "z",
    "status": "ARCHIVING",
    "tenantId": "sd2e",
    "tenantQueue": "aloe.jobq.sd2e",
}


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    """A daemon whose Indexer does nothing: jobs that finish stay as the tests leave them."""
    without_indexer(monkeypatch)
    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as running:
        yield running


@pytest.fixture
async def jobbing(served: Serving, alice: Client) -> Jobbing:
    return await Jobbing.on(served, alice)


class OneJob:
    """A job in RUNNING, and messages about it."""

    def __init__(self, jobbing: Jobbing, made: dict[str, Any]) -> None:
        self.jobbing = jobbing
        self.uuid, self.token = made["job"]["uuid"], made["token"]
        self.query = f"?uuid={self.uuid}&token={self.token}"

    async def last(self) -> tuple[str, str, Any]:
        """State, last event and its data."""
        job = await self.jobbing.shown(self.uuid)
        assert job["history"][-1]["name"] == job["last_event"]
        return job["state"], job["last_event"], job["history"][-1]["data"]

    async def done(self, **options: Any) -> list[str]:
        """Send a message that is handled; the lines of its log without the ids."""
        code, log = await self.jobbing.message(**options)
        assert code == 0, log
        return [line.partition(" ")[2] for line in log.splitlines()]

    async def refused(self, **options: Any) -> str:
        """Send a message that changes nothing; the last line of its log."""
        before = await self.jobbing.shown(self.uuid)
        code, log = await self.jobbing.message(**options)
        assert code == 1, log
        assert await self.jobbing.shown(self.uuid) == before
        return log.splitlines()[-1].partition(" ")[2]


@pytest.fixture
async def one(jobbing: Jobbing) -> OneJob:
    made = await jobbing.job()
    await jobbing.event(made["job"]["uuid"], "run", made["token"])
    return OneJob(jobbing, made)


async def test_an_event_as_json(one: OneJob) -> None:
    event = {"uuid": one.uuid, "name": "finish", "token": one.token, "data": {"by": "hand"}}
    lines = await one.done(json=event)
    assert lines[0] == "DEBUG SCHEMA DETECTED: pipelinejob_manager_event"
    assert lines[1] == f"INFO Status for job {one.uuid}: FINISHED"
    assert lines[2].startswith("INFO Processed event in ")
    assert lines[2].endswith(" usec")
    assert await one.last() == ("FINISHED", "finish", {"by": "hand"})


@pytest.mark.parametrize(
    "form", ["labelled", "curl", "message", "twice", "python", "continued", "bytes", "form", "parts"]
)
async def test_the_same_event_however_it_is_sent(one: OneJob, form: str) -> None:
    event = {"uuid": one.uuid, "name": "finish", "token": one.token}
    text = json.dumps(event)
    # As the documentation prints it: a line continued by a backslash, which JSON has not.
    continued = text.replace(", ", ", \\\n")
    options: dict[str, dict[str, Any]] = {
        "labelled": {"json": event},
        "curl": {"data": text.encode(), "headers": FORM},
        "message": {"json": {"message": text}},
        "twice": {"json": {"message": json.dumps(text)}},
        "python": {"data": repr(event).encode(), "headers": FORM},
        "continued": {"data": continued.encode(), "headers": FORM},
        "bytes": {"data": text.encode(), "headers": {"Content-Type": "application/octet-stream"}},
        "form": {"data": {"message": text}},
        "parts": multipart({"message": text}),
    }
    await one.done(**options[form])
    assert (await one.last())[:2] == ("FINISHED", "finish")


@pytest.mark.parametrize("name", ["event", "name"])
async def test_an_event_in_the_query_with_a_body_to_keep(one: OneJob, name: str) -> None:
    body = {"arbitrary": "key value data"}
    await one.done(query=f"{one.query}&{name}=finish", data=json.dumps(body).encode(), headers=FORM)
    assert await one.last() == ("FINISHED", "finish", body)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"no JSON at all", b"a=b&c=d"])
async def test_an_event_in_the_query_alone(one: OneJob, body: bytes) -> None:
    await one.done(query=f"{one.query}&event=update", data=body, headers=FORM)
    assert await one.last() == ("RUNNING", "update", {"note": "Event had no JSON payload"})
    await one.done(query=f"{one.query}&event=update&note=a%20note", data=body, headers=FORM)
    assert (await one.last())[2] == {"note": "a note"}


async def test_a_status_in_the_query(one: OneJob) -> None:
    lines = await one.done(query=f"{one.query}&status=FAILED", json={})
    assert "DEBUG Status: FAILED => Event: fail" in lines
    assert (await one.last())[:2] == ("FAILED", "fail")


async def test_callbacks_are_kept_without_what_is_of_no_use(one: OneJob) -> None:
    lines = await one.done(query=one.query, json=NEW_CALLBACK)
    assert lines[:3] == [
        "DEBUG SCHEMA DETECTED: agave_job_callback",
        "DEBUG agave_status: ARCHIVING",
        "DEBUG Status: ARCHIVING => Event: resource",
    ]
    assert await one.last() == ("RUNNING", "resource", NEW_CALLBACK)
    await one.done(query=one.query, json=OLD_CALLBACK)
    kept = {name: value for name, value in OLD_CALLBACK.items() if name not in ("_links", "retries", "localId")}
    assert await one.last() == ("RUNNING", "run", kept)


async def test_what_a_callbacks_address_says_comes_first(one: OneJob) -> None:
    await one.done(query=f"{one.query}&event=update&status=FAILED&note=so", json=OLD_CALLBACK)
    assert (await one.last())[1] == "update"
    await one.done(query=f"{one.query}&status=FINISHED", json=OLD_CALLBACK)
    assert (await one.last())[:2] == ("FINISHED", "finish")


async def test_what_an_events_body_says_comes_before_the_query(one: OneJob) -> None:
    other = IDS.job(DEMO_UUID, (), {"n": 7})
    query = f"?uuid={other}&event=fail&name=reject&token=0123456789abcdef"
    await one.done(query=query, json={"uuid": one.uuid, "name": "update", "token": one.token})
    assert (await one.last())[:2] == ("RUNNING", "update")
    await one.done(query="?event=finish&name=fail", json={"uuid": f"uri:urn:{one.uuid}", "token": one.token})
    assert (await one.last())[:2] == ("FINISHED", "finish")


async def test_a_token_never_gets_into_the_history(one: OneJob) -> None:
    await one.done(query=f"?uuid={one.uuid}&event=update", json={"why": "so", "token": one.token})
    assert (await one.last())[2] == {"why": "so"}
    data = {"why": "by event", "token": one.token}
    await one.done(json={"uuid": one.uuid, "name": "update", "token": one.token, "data": data})
    assert (await one.last())[2] == {"why": "by event"}
    await one.done(query=f"?uuid={one.uuid}&token={one.token}", json={"status": "PAUSED", "token": one.token})
    assert (await one.last())[2] == {"status": "PAUSED"}


@pytest.mark.parametrize(
    ("query", "body", "says"),
    [
        ("", {}, "No actionable event was received."),
        ("?event=run", {}, "No actionable event was received."),
        ("?uuid={uuid}", {"a": 1}, "No actionable event was received."),
        ("", b"no JSON", "Failed to process message : The message is neither JSON nor a Python literal"),
        ("", {"uuid": 5, "name": "run"}, "Failed to process message : The field uuid must be a text."),
        (
            "",
            {"uuid": "{uuid}", "name": "run", "data": [1]},
            "Failed to process message : The field data must be an object.",
        ),
        (
            "?token={token}",
            {"status": "RUNNING"},
            "Agave callback POST and associated URL parameters were missing some required fields : uuid",
        ),
        ("?uuid={uuid}&event=run", {}, "Event not processed : token: it is not the update token of {uuid}"),
        ("?uuid={uuid}&event=run&token=0123456789abcdef", {}, "Event not processed : token: it is not"),
        ("?uuid={uuid}&event=reset&token={token}", {}, "Event not processed : token: this needs an administrative"),
        ("?uuid={uuid}&event=ready&token={token}", {}, "Event not processed : token: this needs an administrative"),
        ("?uuid={uuid}&event=create&token={token}", {}, "Event not processed : create is reserved"),
        ("?uuid={uuid}&event=explode&token={token}", {}, "Event not processed : explode is not an event of a job"),
        (
            "?uuid={uuid}&event=reject&token={token}",
            {},
            "Event not processed : Can't trigger event reject from state RUNNING!",
        ),
        ("?uuid=107&event=run&token={token}", {}, "Event not processed : 107 is not a valid job ID"),
        ("?uuid=107&event=index&token={token}", {}, "Event not processed : 107 is not a valid job ID"),
        ("?event=run", {"uuid": "\ud800", "token": "x"}, "Failed to process message"),
    ],
)
async def test_what_cannot_be_done_is_told(one: OneJob, query: str, body: Any, says: str) -> None:
    given = {"uuid": one.uuid, "token": one.token}
    sent = body if isinstance(body, bytes) else json.dumps(body).replace("{uuid}", one.uuid).encode()
    last = await one.refused(query=query.format_map(given), data=sent, headers=JSON)
    assert last.startswith("CRITICAL " + says.format_map(given))


async def test_an_unknown_job_is_told(one: OneJob) -> None:
    unknown = IDS.job(DEMO_UUID, (), {"n": 7})
    last = await one.refused(json={"uuid": unknown, "name": "run", "token": one.token})
    assert last == f"CRITICAL Event not processed : {unknown} is not a valid job ID"


async def test_late_news_are_passed_over(one: OneJob) -> None:
    await one.done(query=f"{one.query}&event=finish")
    before = await one.jobbing.shown(one.uuid)
    for body in (NEW_CALLBACK, {"status": "HEARTBEAT"}):
        lines = await one.done(query=one.query, json=body)
        assert any(line.startswith("WARNING Event ") and "came too late" in line for line in lines)
    assert await one.jobbing.shown(one.uuid) == before


async def test_finishing_asks_for_indexing_once(one: OneJob) -> None:
    for _ in range(2):
        await one.done(query=f"{one.query}&event=finish")
    request = {"name": "index", "uuid": one.uuid, "token": one.token}
    assert await one.jobbing.asked_of_indexer() == [request]


async def test_indexing_is_forwarded_to_the_indexer(one: OneJob) -> None:
    await one.done(json={"uuid": one.uuid, "name": "index", "token": one.token})
    await one.done(query=f"?uuid={one.uuid}&name=indexed")
    assert await one.jobbing.asked_of_indexer() == [
        {"name": "index", "uuid": one.uuid, "token": one.token},
        {"name": "indexed", "uuid": one.uuid},
    ]
    assert (await one.last())[0] == "RUNNING"


async def test_administrative_events(one: OneJob) -> None:
    await one.done(query=f"?uuid={one.uuid}&event=reset&token={one.jobbing.admin_token()}")
    assert (await one.last())[0] == "RESET"
    await one.done(query=f"?uuid={one.uuid}&event=ready&token={one.jobbing.admin_token()}")
    assert (await one.last())[0] == "CREATED"


async def test_the_callback_needs_no_other_credentials(jobbing: Jobbing) -> None:
    made = await jobbing.job()
    other = await jobbing.job(data={"n": 1})
    callback = URL(made["callback"])
    assert URL(other["callback"]).query["x-nonce"] == callback.query["x-nonce"]
    code, log = await jobbing.callback(made["callback"] + "&status=RUNNING", json={"status": "PENDING"})
    assert code == 0, log
    assert (await jobbing.shown(made["job"]["uuid"]))["state"] == "RUNNING"
    mixed = str(callback.update_query(uuid=other["job"]["uuid"], status="RUNNING"))
    assert (await jobbing.callback(mixed))[0] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"[" * 500_000 + b"]" * 500_000,
        b"(" * 100_000,
        b"-" * 100_000 + b"1",
        b"1+" * 60_000 + b"1",
        b"{'a': " * 20_000 + b"1" + b"}" * 20_000,
        b"not " * 30_000 + b"True",
        b"f'{x}'" * 10_000,
        b'"' + b"x" * 1_900_000 + b'"',
        b"9" * 10_000,
        b'{"uuid": NaN, "name": 1e999}',
        b'{"uuid": "107", "uuid": "108"}',
        b'\xef\xbb\xbf{"uuid": "x"}',
    ],
    ids=lambda body: f"{body[:6]!r}",
)
async def test_hostile_messages_fail_cleanly(one: OneJob, body: bytes) -> None:
    last = await one.refused(data=body, headers=FORM)
    assert last.startswith(("CRITICAL Failed to process message : ", "CRITICAL No actionable event was received."))


async def test_large_data_is_kept(one: OneJob) -> None:
    data = {"text": "x" * 1_000_000}
    await one.done(json={"uuid": one.uuid, "name": "update", "token": one.token, "data": data})
    assert (await one.last())[2] == data


async def test_an_execution_that_runs_again_after_a_crash_brings_its_event_once(one: OneJob) -> None:
    system = one.jobbing.served.daemon.core.system
    sent = await one.jobbing.user.post(f"{MANAGER}/messages{one.query}&event=finish", expect=200)
    execution = sent.result["executionId"]
    await one.jobbing.served.until_ended(one.jobbing.user, "pipelinejobs-manager", execution)
    before = await one.jobbing.shown(one.uuid)
    given = (DEV, one.jobbing.username, one.uuid, "finish", one.token, None, execution)
    with pytest.raises(IllegalTransition):
        await system.jobs.handle(*given)

    def run_again(tx: Transaction) -> None:
        tx.execute("UPDATE executions SET status = 'RUNNING', finish_ms = NULL WHERE id = ?", (execution,))

    await one.jobbing.served.database.write(run_again)
    assert (await system.jobs.handle(*given)).job.state == "FINISHED"
    assert await one.jobbing.shown(one.uuid) == before
    assert len(await one.jobbing.asked_of_indexer()) == 1
    outgoing = Outgoing("pipelinejobs-indexer", {"n": 1})
    ids = [await system.messenger.send(DEV, one.jobbing.username, outgoing, key="k", by_nonce=True) for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(await one.jobbing.asked_of_indexer()) == 2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("state", JobState)
async def test_every_event_in_every_state(jobbing: Jobbing, state: JobState) -> None:
    for number, event in enumerate(JobEvent):
        if event in (JobEvent.INDEX, JobEvent.INDEXED):
            continue  # the Indexer's
        made = await jobbing.job(data={"n": number})
        uuid, token = made["job"]["uuid"], made["token"]
        administrative = (JobEvent.RESET, JobEvent.READY)
        for step in route_to(state):
            given = jobbing.admin_token() if step in administrative else token
            assert (await jobbing.event(uuid, step, given)).status == 200
        given = jobbing.admin_token() if event in administrative else token
        code, log = await jobbing.message(json={"uuid": uuid, "name": event, "token": given})
        target = None if event is JobEvent.CREATE else TRANSITIONS[event].get(state)
        late = target is None and event in (JobEvent.UPDATE, JobEvent.RESOURCE)
        assert code == (0 if late or target else 1), log
        assert (await jobbing.shown(uuid))["state"] == (target or state)

"""Jobs over HTTP: set up, shown, reset, cancelled, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from abacod.config_pipelines import PipelineSettings
from abacod.models.catalog import RecordKind
from abacod.services.tokens import SigningKey
from abacod.store.database import Transaction
from reactors.pipelinejobs.states import TRANSITIONS, JobEvent, JobState
from tests.abacod.api.serving import Client, Serving, serving
from tests.jobbing import DEMO, DEMO_UUID, IDS, MEASUREMENTS, SAMPLE, SAMPLE_UUID, Jobbing, put_record, without_indexer

EMPTY: Final = "PAVpwrObxp5YjYRvrJOd5yVp"
ROOT: Final = f"/products/v2/{DEMO_UUID.replace('-', '')}"
FIRST, SECOND, THIRD = MEASUREMENTS


@pytest.fixture
async def served(tmp_path: Path, signing_key: SigningKey, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    """A daemon whose Indexer does nothing: jobs that finish stay as the tests leave them."""
    without_indexer(monkeypatch)
    async with serving(tmp_path, signing_key, pipelines=PipelineSettings()) as running:
        yield running


@pytest.fixture
async def jobbing(served: Serving, alice: Client) -> Jobbing:
    return await Jobbing.on(served, alice)


@pytest.mark.parametrize(
    ("linkage", "uuid", "path", "child_of"),
    [
        ({"measurement_id": THIRD}, "107596b8-25b2-557d-9702-853f0690c576", "kZpoopq2GBKYy6DQ9pqqNbk8", [THIRD]),
        (
            {"measurement_id": [SECOND, MEASUREMENTS[FIRST]]},
            "10704831-8017-5e39-a4d7-dd73a08b4a4b",
            "3pGOjjEYq3BZ2DJ6e0jLQqWb",
            [FIRST, SECOND],
        ),
        ({"sample_id": SAMPLE}, "107fd3cf-23c6-522f-9270-19932d06def4", "kZgygQV2EDAAkDLRzrep1gO2", MEASUREMENTS),
        ({"sample_id": SAMPLE_UUID}, "107fd3cf-23c6-522f-9270-19932d06def4", "kZgygQV2EDAAkDLRzrep1gO2", MEASUREMENTS),
    ],
)
async def test_a_job_has_the_published_identity_and_path(
    jobbing: Jobbing, linkage: dict[str, Any], uuid: str, path: str, child_of: list[str]
) -> None:
    body = {"pipeline_uuid": DEMO_UUID, **linkage}
    job = (await jobbing.user.post("/v3/jobs", json=body, expect=201)).result["job"]
    assert (job["uuid"], job["archive_path"]) == (uuid, f"{ROOT}/{path}/{EMPTY}")
    assert job["child_of"] == sorted(MEASUREMENTS[name] for name in child_of)
    assert job["generated_by"] == [DEMO_UUID]
    assert (job["state"], job["last_event"], job["data"]) == ("CREATED", "create", {})
    assert [(entry["name"], entry["data"]) for entry in job["history"]] == [("create", {})]


async def test_the_same_request_gives_the_same_job_and_token(jobbing: Jobbing) -> None:
    body = {"pipeline_uuid": DEMO_UUID, "sample_id": SAMPLE, "data": {"a": 1}, "session": "casual-bass"}
    first = await jobbing.user.post("/v3/jobs", json=body, expect=201)
    again = await jobbing.user.post("/v3/jobs", json={**body, "session": "other-name", "instanced": True}, expect=200)
    assert first.result["created"]
    assert again.result == {**first.result, "created": False}
    assert len(first.result["token"]) == 16


async def test_the_token_is_told_to_who_has_set_the_job_up_and_to_administrators(
    jobbing: Jobbing, served: Serving
) -> None:
    body = {"pipeline_uuid": DEMO_UUID, "sample_id": SAMPLE}
    first = await jobbing.user.post("/v3/jobs", json=body, expect=201)
    other = await (await served.user("eve")).post("/v3/jobs", json=body, expect=200)
    assert (other.result["token"], other.result["callback"]) == ("", "")
    assert other.result["job"] == first.result["job"]
    known = await jobbing.overseer.post("/v3/jobs", json=body, expect=200)
    assert known.result["token"] == first.result["token"]


async def test_a_nonce_of_an_administrator_tells_the_tokens_of_its_own_jobs_only(
    jobbing: Jobbing, served: Serving
) -> None:
    body = {"pipeline_uuid": DEMO_UUID, "sample_id": SAMPLE}
    theirs = await jobbing.user.post("/v3/jobs", json=body, expect=201)
    nonces = "/v3/actors/pipelinejobs-manager/nonces"
    made = await jobbing.overseer.post(nonces, json={"level": "EXECUTE", "max_uses": -1}, expect=201)
    path = f"/v3/jobs?x-nonce={made.result['id']}"
    found = await served.nobody.post(path, json=body, expect=200)
    assert found.result == {"job": theirs.result["job"], "token": "", "callback": "", "created": False}
    own = await served.nobody.post(path, json={**body, "data": {"own": 1}}, expect=201)
    again = await served.nobody.post(path, json={**body, "data": {"own": 1}}, expect=200)
    assert own.result["token"] == again.result["token"] != ""


async def test_the_path_is_of_the_data_given_and_the_uuid_of_all_data(jobbing: Jobbing) -> None:
    plain = await jobbing.job(data={"alpha": {"x": 1, "y": [1]}})
    merged = await jobbing.job(data={"alpha": {"x": 1, "y": [1]}}, setup_data={"alpha": {"y": [2]}})
    assert merged["job"]["data"] == {"alpha": {"x": 1, "y": [2]}}
    assert merged["job"]["archive_path"] == plain["job"]["archive_path"]
    assert merged["job"]["uuid"] != plain["job"]["uuid"]


async def test_a_preview_changes_nothing(jobbing: Jobbing, served: Serving) -> None:
    body = {"pipeline_uuid": DEMO_UUID, "sample_id": SAMPLE, "session": "casual-bass"}
    before = await served.contents()
    shown = (await jobbing.user.post("/v3/jobs/preview", json=body, expect=200)).result
    assert await served.contents() == before
    made = await jobbing.job(**body, measurement_id=None)
    assert not shown["exists"]
    for volatile in ("history", "updated"):
        shown["job"].pop(volatile)
        made["job"].pop(volatile)
    assert shown["job"] == made["job"]
    assert (await jobbing.user.post("/v3/jobs/preview", json=body)).result["exists"]


async def test_instanced_paths_end_with_session_and_time(jobbing: Jobbing) -> None:
    job = (await jobbing.job(instanced=True, session="sensible-adder"))["job"]
    assert job["archive_path"].rpartition("/")[2].startswith("sensible-adder-20")
    fresh = (await jobbing.job(data={"n": 1}, session="abc"))["job"]
    assert len(fresh["session"].split("-")) == 2


async def test_an_explicit_path_is_taken_and_its_directory_made(jobbing: Jobbing, served: Serving) -> None:
    job = (await jobbing.job(archive_path="/somewhere/else", instanced=True))["job"]
    assert (job["archive_system"], job["archive_path"]) == ("data-sd2e-community", "/somewhere/else")
    assert (served.settings.system_roots["data-sd2e-community"] / "somewhere/else").is_dir()


async def test_a_directory_that_is_not_wanted_is_not_made(jobbing: Jobbing, served: Serving) -> None:
    body = {"pipeline_uuid": DEMO_UUID, "archive_path": "/somewhere/else", "setup_archive_path": False}
    await jobbing.user.post("/v3/jobs", json=body, expect=201)
    assert not (served.settings.system_roots["data-sd2e-community"] / "somewhere").exists()


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"archive_path": "/a/../../etc"}, 400, ".."),
        ({"archive_path": "relative"}, 400, "not absolute"),
        ({"archive_path": "/a\0b"}, 400, "NUL"),
        ({"archive_system": "nowhere"}, 400, "no storage system"),
        ({"pipeline_uuid": "106" + DEMO_UUID[3:-1] + "0"}, 404, "Failed to verify pipeline_uuid:106"),
        ({"pipeline_uuid": "nonsense"}, 404, "Failed to verify pipeline_uuid:nonsense exists in store pipeline"),
        ({"pipeline_uuid": None}, 400, 'Parameter "pipeline_uuid" is required'),
        ({"measurement_id": "measurement.tacc.gone"}, 404, "measurement.tacc.gone"),
        ({"sample_id": "measurement.tacc.x"}, 400, "sample_id"),
        ({"sample_id": []}, 400, "sample_id"),
        ({"session": "../../x", "instanced": True}, 400, "session"),
        ({"data": "text"}, 400, "object"),
        ({"archive_patterns": [{"patterns": 1}]}, 400, "archive_patterns"),
        ({"product_patterns": ["x"]}, 400, "product_patterns"),
    ],
)
async def test_what_is_wrong_is_told(jobbing: Jobbing, fields: dict[str, Any], status: int, says: str) -> None:
    body = {"pipeline_uuid": DEMO_UUID, "measurement_id": FIRST, **fields}
    for path in ("/v3/jobs", "/v3/jobs/preview"):
        answer = await jobbing.user.post(path, json=body, expect=status)
        assert says in answer.message
    assert (await jobbing.user.get("/v3/jobs")).result == []


async def test_a_retired_pipeline_gets_no_new_jobs(jobbing: Jobbing, served: Serving) -> None:
    known = await jobbing.job()
    pipelines = served.daemon.core.system.pipelines
    await pipelines.set_visible(jobbing.tenant, jobbing.username, DEMO_UUID, jobbing.admin_token(), visible=False)
    refused = await jobbing.user.post("/v3/jobs", json={"pipeline_uuid": DEMO_UUID, "sample_id": SAMPLE}, expect=400)
    assert refused.message == f"Pipeline {DEMO_UUID} is retired"
    assert not (await jobbing.job())["created"]
    assert (await jobbing.event(known["job"]["uuid"], "run", known["token"])).status == 200


async def test_files_and_references_in_the_data_are_linked(jobbing: Jobbing, served: Serving) -> None:
    def fill(tx: Transaction) -> tuple[str, str]:
        file = put_record(tx, RecordKind.FILE, "/uploads/tacc/example/345.txt")
        reference = put_record(
            tx, RecordKind.REFERENCE, "genome", name="genome", uri="agave://data-sd2e-community/reference/genome.fa"
        )
        return file, reference

    file, reference = await served.database.write(fill)
    data = {
        "inputs": {"a": "agave://data-sd2e-community/uploads/tacc/example/345.txt", "b": "agave://x/unknown"},
        "parameters": {"salsa": True, "genome": "/reference/genome.fa"},
    }
    job = (await jobbing.job(data=data))["job"]
    assert (job["acted_on"], job["acted_using"]) == ([file], [reference])
    other = await jobbing.job(inputs="/uploads/tacc/example/345.txt")
    assert other["job"]["acted_on"] == [file]


async def test_agent_and_task_become_urls(jobbing: Jobbing, served: Serving) -> None:
    actor = (await jobbing.job(agent="G46vjoAVzGkkz", task="Myp6wvklV0zgQ"))["job"]
    assert actor["agent"] == f"{served.url}/actors/v2/G46vjoAVzGkkz"
    assert actor["task"] == f"{actor['agent']}/executions/Myp6wvklV0zgQ"
    app = (await jobbing.job(data={"n": 1}, agent="word-count-0.1u1", task="7381-242ac11b-0001-007"))["job"]
    assert app["agent"] == f"{served.url}/apps/v2/word-count-0.1u1"
    assert app["task"] == f"{served.url}/jobs/v2/7381-242ac11b-0001-007"
    url = (await jobbing.job(data={"n": 2}, agent="https://x.org/a", task="https://x.org/t"))["job"]
    assert (url["agent"], url["task"]) == ("https://x.org/a", "https://x.org/t")


async def test_a_reset_empties_the_archive(jobbing: Jobbing, served: Serving) -> None:
    made = await jobbing.job()
    uuid, token = made["job"]["uuid"], made["token"]
    root = served.settings.system_roots["data-sd2e-community"]
    directory = root / made["job"]["archive_path"].lstrip("/")
    (directory / "deep").mkdir()
    (directory / "deep" / "product.txt").write_text("x")
    await jobbing.event(uuid, "run", token)
    refused = await jobbing.user.post(f"/v3/jobs/{uuid}/reset", json={"token": token}, expect=403)
    assert "administrative" in refused.message
    kept = {"token": jobbing.admin_token(), "no_clear_path": True}
    await jobbing.user.post(f"/v3/jobs/{uuid}/reset", json=kept, expect=200)
    assert (directory / "deep" / "product.txt").exists()
    done = await jobbing.user.post(f"/v3/jobs/{uuid}/reset", json={"token": jobbing.admin_token()}, expect=200)
    assert (done.result["job"]["state"], done.result["token"]) == ("CREATED", token)
    assert list(directory.iterdir()) == []
    names = [entry["name"] for entry in done.result["job"]["history"]]
    assert names == ["create", "run", "reset", "ready", "reset", "ready"]


@pytest.mark.parametrize("path", ["/products/v2x/mine", "/elsewhere", "/products/v2"])
async def test_a_reset_leaves_other_directories_alone(jobbing: Jobbing, served: Serving, path: str) -> None:
    made = await jobbing.job(archive_path=path)
    file = served.settings.system_roots["data-sd2e-community"] / path.lstrip("/") / "file"
    file.write_text("x")
    uuid = made["job"]["uuid"]
    await jobbing.user.post(f"/v3/jobs/{uuid}/reset", json={"token": jobbing.admin_token()}, expect=200)
    assert file.exists()


async def test_a_job_to_which_nothing_happened_can_be_cancelled(jobbing: Jobbing) -> None:
    made = await jobbing.job()
    uuid = made["job"]["uuid"]
    await jobbing.user.post(f"/v3/jobs/{uuid}/cancel", json={"token": "0123456789abcdef"}, expect=403)
    await jobbing.user.post(f"/v3/jobs/{uuid}/cancel", json={"token": made["token"]}, expect=200)
    await jobbing.user.get(f"/v3/jobs/{uuid}", expect=404)
    again = await jobbing.job()
    assert (again["created"], again["job"]["uuid"]) == (True, uuid)
    await jobbing.event(uuid, "update", again["token"])
    refused = await jobbing.user.post(f"/v3/jobs/{uuid}/cancel", json={"token": again["token"]}, expect=400)
    assert "send it the event fail" in refused.message


async def test_only_administrators_delete_a_job(jobbing: Jobbing) -> None:
    made = await jobbing.job()
    uuid = made["job"]["uuid"]
    await jobbing.user.delete(f"/v3/jobs/{uuid}?token={made['token']}", expect=403)
    await jobbing.user.delete(f"/v3/jobs/{uuid}?token={jobbing.admin_token()}", expect=200)
    await jobbing.user.get(f"/v3/jobs/{uuid}", expect=404)


async def test_jobs_are_listed_newest_first_and_narrowed(jobbing: Jobbing) -> None:
    uuids = [(await jobbing.job(data={"n": number}))["job"]["uuid"] for number in range(5)]
    other = await jobbing.job(measurement_id=SECOND)
    await jobbing.event(other["job"]["uuid"], "run", other["token"])

    async def found(query: str = "") -> list[str]:
        return [job["uuid"] for job in (await jobbing.user.get(f"/v3/jobs{query}", expect=200)).result]

    newest = [other["job"]["uuid"], *reversed(uuids)]
    assert await found() == newest
    assert await found("?limit=2") == newest[:2]
    assert await found(f"?limit=2&after={newest[1]}") == newest[2:4]
    assert await found("?state=RUNNING") == newest[:1]
    assert await found(f"?measurement_id={SECOND}") == newest[:1]
    assert await found(f"?sample_id={SAMPLE}&limit=3") == newest[:3]
    assert await found(f"?child_of={MEASUREMENTS[FIRST]}") == newest[1:]
    assert await found(f"?pipeline_uuid={DEMO_UUID}") == newest
    assert await found(f"?pipeline_uuid={uuids[0]}") == []
    assert (
        await found(f"?pipeline={DEMO_UUID}") == await found(f"?pipeline={quote(str(DEMO['id']), safe='')}") == newest
    )
    assert await found("?state=running") == newest[:1]
    assert await found("?created_after=2999") == await found("?updated_before=2001") == []
    assert await found("?created_after=2001&created_before=2999&updated_after=2001") == newest
    for wrong in ("state=LOST", "limit=0", "limit=1001", "created_after=x", "surprise=1", "limit=1&limit=2"):
        await jobbing.user.get(f"/v3/jobs?{wrong}", expect=400)
    await jobbing.user.get(f"/v3/jobs?after={IDS.job(DEMO_UUID, (), {})}", expect=404)
    await jobbing.user.get("/v3/jobs?pipeline=unknown", expect=404)


async def test_a_history_is_read_in_pages(jobbing: Jobbing) -> None:
    made = await jobbing.job()
    uuid = made["job"]["uuid"]
    for number in range(4):
        await jobbing.event(uuid, "update", made["token"], data={"n": number})
    path = f"/v3/jobs/{uuid}/history"
    whole = (await jobbing.user.get(path)).result
    assert [entry["name"] for entry in whole] == ["create", *["update"] * 4]
    first = (await jobbing.user.get(f"{path}?limit=3")).result
    rest = (await jobbing.user.get(f"{path}?limit=3&after={first[-1]['uuid']}")).result
    assert first + rest == whole == (await jobbing.shown(uuid))["history"]
    await jobbing.user.get(f"{path}?after={uuid}", expect=404)


def route_to(state: JobState) -> list[JobEvent]:
    """Events that lead from CREATED to a state, by the shortest way."""
    ways: dict[JobState, list[JobEvent]] = {JobState.CREATED: []}
    waiting = [JobState.CREATED]
    for here in waiting:
        for event, targets in TRANSITIONS.items():
            if here in targets and targets[here] not in ways:
                ways[targets[here]] = [*ways[here], event]
                waiting.append(targets[here])
    return ways[state]


@pytest.mark.parametrize("state", JobState)
async def test_every_event_in_every_state(jobbing: Jobbing, state: JobState) -> None:
    for number, event in enumerate(JobEvent):
        made = await jobbing.job(data={"n": number})
        uuid = made["job"]["uuid"]

        async def send(name: JobEvent, uuid: str = uuid, token: str = made["token"]) -> int:
            given = jobbing.admin_token() if name in (JobEvent.RESET, JobEvent.READY) else token
            return (await jobbing.event(uuid, name, given, data={"by": "test"})).status

        for step in route_to(state):
            assert await send(step) == 200
        before = await jobbing.shown(uuid)
        target = None if event is JobEvent.CREATE else TRANSITIONS[event].get(state)
        late = target is None and event in (JobEvent.UPDATE, JobEvent.RESOURCE)
        assert await send(event) == (200 if late or target else 400)
        after = await jobbing.shown(uuid)
        if target is None:
            assert after == before
        else:
            assert (after["state"], after["last_event"]) == (target, event)
            assert [entry["name"] for entry in after["history"]] == [e["name"] for e in before["history"]] + [event]
            assert after["history"][-1]["data"] == {"by": "test"}
            assert after["updated"] == after["history"][-1]["date"]


@pytest.mark.parametrize("token", ["0123456789abcdef", "", "null", "x" * 1000, "\ufffd" * 16])
async def test_forged_tokens_are_refused(jobbing: Jobbing, token: str) -> None:
    made = await jobbing.job()
    other = await jobbing.job(data={"n": 1})
    uuid = made["job"]["uuid"]
    for given in (token, other["token"]):
        assert (await jobbing.event(uuid, "run", given)).status == 403
    assert (await jobbing.shown(uuid))["state"] == "CREATED"


async def test_an_event_that_is_none_is_refused(jobbing: Jobbing) -> None:
    made = await jobbing.job()
    uuid = made["job"]["uuid"]
    assert (await jobbing.event(uuid, "explode", made["token"])).status == 400
    assert (await jobbing.event(uuid, "create", made["token"])).message == "create is reserved"
    assert (await jobbing.event(uuid, "RUN", made["token"])).result["job"]["last_event"] == "run"
    unknown = await jobbing.event(IDS.job(DEMO_UUID, (), {}), "run", made["token"])
    assert unknown.status == 404
    assert unknown.message.endswith("is not a valid job ID")


async def test_finishing_asks_the_indexer_once(jobbing: Jobbing, served: Serving) -> None:
    made = await jobbing.job()
    uuid, token = made["job"]["uuid"], made["token"]
    for event in ("run", "finish", "finish"):
        assert (await jobbing.event(uuid, event, token)).status == 200
    assert await jobbing.asked_of_indexer() == [{"name": "index", "uuid": uuid, "token": token}]


async def test_nothing_private_is_shown(jobbing: Jobbing) -> None:
    made = await jobbing.job()
    assert not [name for name in made["job"] if name.startswith("_") or name in ("salt", "owner", "revision")]
    assert DEMO["name"]

"""A data directory of the first release, opened by this one: everything is there, and goes on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from abacod.ids import Username
from abacod.models.user import Role, User
from abacod.services.tokens import SigningKey
from abacod.store import migrations
from tests.abacod.api.serving import CREATED, DEV, Client, Serving, serving

OLD = "RPjRloyVw6EQr"
IDLE = "z81RpwPmapEDr"
DONE, CUT_OFF, QUEUED, BYTES = "z81JjZNw1qWak", "RPBMpXjNXgeVL", "pE0gerGpq4kX7", "RPBpgWQABOLap"

DEFINITION = json.loads(
    """{"image": "image", "name": "old", "description": "", "default_environment": {}, "hints": [], "link": "", "webhook": "",
    "stateless": false, "token": null, "privileged": false, "use_container_uid": false, "run_as_executor": false,
    "max_workers": null, "max_cpus": null, "mem_limit": null, "queue": "default", "log_ex": null, "cron_schedule": null,
    "cron_on": false, "type": "none"}"""
)
"""An actor's definition with all the fields that the first release wrote."""


def first_release(data_dir: Path) -> None:
    """What the first release left: an actor with an execution behind it, one cut off, two messages, and an idle actor."""
    (data_dir / "messages").mkdir(parents=True, mode=0o700)
    data_dir.chmod(0o700)
    (data_dir / "messages" / BYTES).write_bytes(b"some bytes")
    with closing(sqlite3.connect(data_dir / "abacod.db", isolation_level=None)) as connection:
        connection.executescript(migrations._scripts()[1])
        connection.execute("PRAGMA user_version = 1")
        connection.executemany(
            "INSERT INTO users VALUES ('dev', ?, 'no password fits', ?, ?, ?, 0)",
            [("ada", "[]", 1001, 1002), ("bob", "[]", None, None), ("root", '["abaco_admin"]', None, None)],
        )
        schedule = {**DEFINITION, "name": "idle", "cron_schedule": "2099-03-14 5 + 1 day", "cron_on": True}
        connection.executemany(
            """
            INSERT INTO actors (id, tenant, owner, definition, status, status_message, revision, state, mounts, uid, gid,
                                cron_next_ex, create_ms, update_ms)
            VALUES (?, 'dev', 'ada', ?, 'READY', ' ', 3, ?, '[]', 1001, 1002, ?, 1000, 2000)
            """,
            [
                (OLD, json.dumps(DEFINITION), '{"count": 7}', None),
                (IDLE, json.dumps(schedule), "{}", "2099-3-14 5"),
            ],
        )
        connection.executemany(
            "INSERT INTO actor_permissions VALUES (?, ?, ?)", [(OLD, "ada", 3), (OLD, "bob", 2), (IDLE, "ada", 3)]
        )
        begun = "INSERT INTO executions (id, actor_id, tenant, executor, status, revision, received_ms"
        connection.execute(
            f"{begun}, worker_id, start_ms, finish_ms, runtime_s, cpu_ns, io_bytes, exit_code, final_state) "
            "VALUES (?, ?, 'dev', 'bob', 'COMPLETE', 3, 3000, 'w', 4000, 9000, 5, 600, 70, 0, '{\"ExitCode\": 0}')",
            (DONE, OLD),
        )
        connection.execute(
            f"{begun}, worker_id, start_ms) VALUES (?, ?, 'dev', 'bob', 'RUNNING', 3, 9000, 'w', 9500)", (CUT_OFF, OLD)
        )
        for execution_id in (QUEUED, BYTES):
            connection.execute(f"{begun}) VALUES (?, ?, 'dev', 'bob', 'SUBMITTED', 3, 9900)", (execution_id, OLD))
        connection.execute("INSERT INTO log_pieces VALUES (?, 0, ?)", (DONE, b"an antediluvian log\n"))
        connection.execute("INSERT INTO actor_totals VALUES (?, 4, 5, 600, 70)", (OLD,))
        connection.executemany(
            """
            INSERT INTO messages (execution_id, actor_id, content_type, body, environment, started)
            VALUES (?, ?, ?, ?, '{"SIDE": "B"}', ?)
            """,
            [
                (CUT_OFF, OLD, "str", "cut off", 1),
                (QUEUED, OLD, "str", "queued", 0),
                (BYTES, OLD, "application/octet-stream", None, 0),
            ],
        )


def as_user(served: Serving, name: str, *roles: Role) -> Client:
    """A user that the database has already."""
    user = User(DEV, Username(name), frozenset(roles), CREATED)
    return Client(served.session, served.url, served.daemon.core.tokens.issue(user, "access").text)


async def test_what_the_first_release_left_is_there_and_goes_on(tmp_path: Path, signing_key: SigningKey) -> None:
    first_release(tmp_path / "data")
    async with serving(tmp_path, signing_key) as served:
        ada, bob, root = as_user(served, "ada"), as_user(served, "bob"), as_user(served, "root", "abaco_admin")
        # the actors, and who may do what
        actor = (await bob.get(f"/v3/actors/{OLD}", expect=200)).result
        assert (actor["name"], actor["stateless"], actor["revision"], actor["uid"]) == ("old", False, 3, 1001)
        assert (await ada.get(f"/v3/actors/{OLD}/state", expect=200)).result == {"state": {"count": 7}}
        granted = (await ada.get(f"/v3/actors/{OLD}/permissions", expect=200)).result
        assert granted == {"ada": "UPDATE", "bob": "EXECUTE"}
        await bob.get(f"/v3/actors/{IDLE}", expect=403)
        idle = (await ada.get(f"/v3/actors/{IDLE}", expect=200)).result
        assert (idle["cron_next_ex"], idle["cron_on"], idle["webhook"]) == ("2099-3-14 5", True, "")

        # what was queued runs, in its order; what was cut off is told
        for execution_id, status in ((CUT_OFF, "ERROR"), (QUEUED, "COMPLETE"), (BYTES, "COMPLETE")):
            assert (await served.until_ended(bob, OLD, execution_id))["status"] == status
        started = {str(each): times for each, times in served.engine.started.items()}
        assert started == {QUEUED: 1, BYTES: 1}
        assert list(started) == [QUEUED, BYTES]
        assert list(served.settings.messages_dir.iterdir()) == []

        # the old execution, its sums, and the search in both
        done = (await bob.get(f"/v3/actors/{OLD}/executions/{DONE}", expect=200)).result
        assert (done["runtime"], done["cpu"], done["io"], done["final_state"]) == (5, 600, 70, {"ExitCode": 0})
        summary = (await root.get("/v3/actors/admin/executions", expect=200)).result["summary"]
        assert (summary["total_executions_all"], summary["total_actors_all"]) == (4, 2)
        assert (summary["total_execution_runtime_all"], summary["total_execution_io_all"]) == (5, 70)
        for words, wanted in (("antediluvian", DONE), ("queued", QUEUED)):
            (log,) = (await bob.get(f"/v3/actors/search/logs?search={words}", expect=200)).result["search"]
            assert log["_links"]["execution"].endswith(wanted)
        (found,) = (await ada.get("/v3/actors/search/actors?search=idle", expect=200)).result["search"]
        assert found["id"] == IDLE


async def test_new_things_work_with_old_actors(tmp_path: Path, signing_key: SigningKey) -> None:
    first_release(tmp_path / "data")
    async with serving(tmp_path, signing_key) as served:
        ada = as_user(served, "ada")
        await ada.post("/v3/actors/aliases", json={"alias": "alias", "actor_id": OLD}, expect=201)
        nonce = (await ada.post(f"/v3/actors/{OLD}/nonces", json={"max_uses": 1}, expect=201)).result["id"]
        await served.nobody.get(f"/v3/actors/{OLD}?x-nonce={nonce}", expect=200)
        await served.nobody.get(f"/v3/actors/{OLD}?x-nonce={nonce}", expect=401)
        await ada.put(f"/v3/actors/{IDLE}", json={"image": "image", "link": "alias"}, expect=200)

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abacod.config import RunSettings
from abacod.ids import WorkerId
from abacod.models.actor import Mount
from abacod.runtime.run import Keep
from abacod.services.environment import ValueStyle, environment, is_reserved, run_spec, text_of, time_limit
from tests.factories import actor, execution, queued

WORKER = WorkerId("worker")


def made(style: ValueStyle = "json", *, message: dict[str, Any] | None = None, **given: Any) -> dict[str, str]:
    of = actor(**given)
    run = execution(of)
    waiting = queued(execution=run, **(message or {}))
    return dict(
        environment(of, run, waiting, WORKER, api_server="http://api", access_token="token", style=style, configs="{}")
    )


def test_the_context_is_complete() -> None:
    of = actor(name="counter", revision=3, state={"n": None})
    run = execution(of)
    values = environment(
        of,
        run,
        queued(body="text"),
        WORKER,
        api_server="http://api",
        access_token="token",
        style="json",
        configs='{"a": "b"}',
    )
    assert values == {
        "MSG": "text",
        "_abaco_Content_Type": "str",
        "_abaco_Content-Type": "str",
        "_abaco_execution_id": run.id,
        "_abaco_actor_id": of.id,
        "_abaco_actor_dbid": f"dev_{of.id}",
        "_abaco_actor_name": "counter",
        "_abaco_actor_revision": "3",
        "_abaco_actor_state": '{"n": null}',
        "_abaco_worker_id": "worker",
        "_abaco_container_repo": "image",
        "_abaco_username": "ada",
        "_abaco_api_server": "http://api",
        "_abaco_access_token": "token",
        "_actor_configs": '{"a": "b"}',
    }


def test_what_is_not_there() -> None:
    values = made(message={"body": None, "content_type": "application/octet-stream"})
    assert "MSG" not in values
    assert values["_abaco_Content_Type"] == "application/octet-stream"
    assert values["_abaco_actor_name"] == "None"
    assert values["_abaco_actor_state"] == "{}"


def test_query_parameters_override_defaults_and_neither_the_context() -> None:
    values = made(
        default_environment={"A": "default", "B": "default", "_abaco_x": "no"},
        message={"environment": {"B": "query", "MSG": "no", "_abaco_actor_id": "no", "_actor_configs": "no"}},
    )
    assert (values["A"], values["B"], values["MSG"], values["_actor_configs"]) == ("default", "query", "1", "{}")
    assert "_abaco_x" not in values
    assert values["_abaco_actor_id"] != "no"


@pytest.mark.parametrize(
    ("style", "content_type", "expected"),
    [
        ("json", "application/json", '{"a":true}'),
        ("python", "application/json", "{'a': True}"),
        ("json", "str", '{"a":true}'),
        ("python", "str", '{"a":true}'),
    ],
)
def test_json_is_passed_on_byte_for_byte_or_as_a_python_literal(
    style: ValueStyle, content_type: str, expected: str
) -> None:
    assert made(style, message={"body": '{"a":true}', "content_type": content_type})["MSG"] == expected


@pytest.mark.parametrize(
    ("value", "as_json", "as_python"),
    [
        ("text", "text", "text"),
        ({"ü": [None, True]}, '{"ü": [null, true]}', "{'ü': [None, True]}"),
        (None, "null", "None"),
        (1.5, "1.5", "1.5"),
        ("", "", ""),
    ],
)
def test_how_values_are_written(value: Any, as_json: str, as_python: str) -> None:
    assert (text_of(value, "json"), text_of(value, "python")) == (as_json, as_python)
    assert made("python", state=value)["_abaco_actor_state"] == as_python


@pytest.mark.parametrize("name", ["MSG", "_actor_configs", "_abaco_", "_abaco_anything"])
def test_reserved_names(name: str) -> None:
    assert is_reserved(name)
    assert not is_reserved(name.lower() + "x" if name == "MSG" else f"x{name}")


@pytest.mark.parametrize(
    ("given", "run", "user"),
    [
        ({}, {}, None),
        ({"uid": 5}, {}, "5:5"),
        ({"uid": 5, "gid": 6}, {}, "5:6"),
        ({"uid": 5, "use_container_uid": True}, {}, None),
        ({"uid": 5, "run_as_executor": True}, {"executor_uid": 8, "executor_gid": 9}, "8:9"),
        ({"uid": 5, "run_as_executor": True}, {"executor_uid": 0}, "0:0"),
        ({"uid": 5, "run_as_executor": True}, {}, "5:5"),
        ({"uid": 5}, {"executor_uid": 8}, "5:5"),
    ],
)
def test_as_whom_a_container_runs(given: dict[str, Any], run: dict[str, Any], user: str | None) -> None:
    of = actor(**given)
    assert run_spec(of, execution(of, **run), WORKER, {}, RunSettings(), queued(), None).user == user


@pytest.mark.parametrize(
    ("hints", "keep"),
    [
        ((), Keep.NOTHING),
        (("sync",), Keep.ALWAYS),
        (("warm",), Keep.REUSED),
        (("sync", "warm"), Keep.REUSED),
        (("sync", "warm", "resident"), Keep.RESIDENT),
    ],
)
def test_the_hints_of_an_actor_say_what_is_held_for_its_workers(hints: tuple[str, ...], keep: Keep) -> None:
    of = actor(hints=hints)
    assert run_spec(of, execution(of), WORKER, made(hints=hints), RunSettings(), queued(), None).keep is keep


def test_a_process_that_stays_starts_with_nothing_of_a_message() -> None:
    of = actor(hints=("resident",), default_environment={"MODEL": "large", "q": "default", "_abaco_x": "1"})
    values = made(hints=("resident",), message={"environment": {"q": "of the message"}})
    lasting = run_spec(of, execution(of), WORKER, values, RunSettings(), queued(), None).lasting_environment
    assert {name for name in lasting if name.startswith("_abaco_")} == {
        "_abaco_actor_id",
        "_abaco_actor_dbid",
        "_abaco_actor_name",
        "_abaco_worker_id",
        "_abaco_container_repo",
        "_abaco_api_server",
    }
    assert {name: text for name, text in lasting.items() if not name.startswith("_abaco_")} == {
        "MODEL": "large",
        "q": "default",
    }


def test_limits_come_from_the_actor_then_from_the_settings() -> None:
    mounts = (Mount("/a", "/b", "ro"),)
    settings = RunSettings(mem_limit="1g", max_cpus=5, max_run_seconds=9)
    of = actor(mounts=mounts, privileged=True)
    spec = run_spec(of, execution(of), WORKER, {}, settings, queued(), Path("/file"))
    assert (spec.memory_bytes, spec.nano_cpus, spec.time_limit) == (2**30, 5, 9)
    assert (spec.mounts, spec.privileged, spec.binary_message) == (mounts, True, Path("/file"))
    of = actor(mem_limit="-1", max_cpus=-1)
    spec = run_spec(of, execution(of), WORKER, {}, settings, queued(), None)
    assert (spec.memory_bytes, spec.nano_cpus) == (None, None)
    assert time_limit(RunSettings()) is None

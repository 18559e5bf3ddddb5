from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abacod.config_batch import LocalBatchSettings
from abacod.errors import BatchJobRefused
from abacod.models.batch_job import BatchJob, BatchStatus
from abacod.services.batch.callbacks import expanded, macros
from abacod.services.batch.definition import checked
from abacod.services.batch.description import described
from abacod.services.batch.plan import RunPlan, plan
from abacod.services.batch.work import Work
from abacod.services.storage.systems import Systems
from tests.factories import OWNER, START, TENANT

SYSTEMS = Systems({"data": Path("/nowhere")})
WORK = Work(Path("/data/work"), SYSTEMS)

values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just("agave://data/a/b")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
)
names = st.sampled_from(
    [
        "inputs",
        "parameters",
        "notifications",
        "name",
        "maxRunTime",
        "archive",
        "archiveSystem",
        "archivePath",
        "url",
        "x",
    ]
)


def app(**given_fields: Any) -> dict[str, Any]:
    return {"id": "app-1", "image": "image", **given_fields}


def job(document: dict[str, Any], **changes: Any) -> BatchJob:
    made = BatchJob(
        id="1-a-0001-007",
        tenant=TENANT,
        owner=OWNER,
        app_id="app-1",
        name="a job",
        status=BatchStatus.QUEUED,
        definition={},
        app=document,
        inputs={},
        parameters={},
        archive=None,
        run_seconds=None,
        created=START,
        updated=START,
    )
    return replace(made, **changes)


def planned(document: dict[str, Any], uid: int = 0, **changes: Any) -> RunPlan:
    settings = changes.pop("settings", LocalBatchSettings())
    return plan(job(document, **changes), described(document), WORK, settings, uid=lambda: uid)


def test_a_job_runs_as_the_daemon_unless_that_is_root_or_the_settings_say_otherwise() -> None:
    assert planned(app()).user is None
    assert (planned(app(), uid=1000).user or "").startswith("1000:")
    assert planned(app(), uid=1000, settings=LocalBatchSettings(user="0:0")).user == "0:0"


def test_a_template_that_names_its_interpreter_is_run_by_that() -> None:
    assert planned(app(template="#!/bin/awk -f")).entrypoint == ("/_abaco_app_template",)
    assert planned(app(template="true")).entrypoint == ("/bin/sh", "/_abaco_app_template")


@pytest.mark.parametrize(
    ("general", "own", "limit"), [(None, None, None), (10, None, 10), (None, 5, 5), (10, 5, 5), (5, 10, 5)]
)
def test_the_shorter_limit_holds(general: float | None, own: int | None, limit: float | None) -> None:
    assert planned(app(), run_seconds=own).limit(general) == limit


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text()))
def test_values_are_put_into_arguments_once_whatever_is_in_them(parameters: dict[str, str]) -> None:
    declared = [{"id": name} for name in "abc"]
    document = app(command=["${a}|${b}|${c}|${d}"], parameters=declared)
    command = planned(document, parameters=parameters).command
    assert command == ("|".join([*(parameters.get(name, "") for name in "abc"), "${d}"]),)


@given(st.dictionaries(names, values))
def test_a_definition_is_understood_or_refused_with_a_reason(definition: dict[str, Any]) -> None:
    document = app(parameters=[{"id": "a", "value": {"type": "number", "validator": "^[0-9]+$"}}])
    for fields in (document, app()):
        try:
            wanted = checked({"appId": "app-1", **definition}, described(fields), SYSTEMS.split)
        except BatchJobRefused as error:
            error.message.encode()
            continue
        made = planned(fields, inputs=wanted.inputs, parameters=wanted.parameters)
        assert all("\0" not in text and text.encode() is not None for text in made.environment.values())


@given(values)
def test_a_description_is_understood_or_refused(value: Any) -> None:
    for name in ("inputs", "parameters", "environment", "command", "template", "cpus", "memory", "isPublic", "image"):
        try:
            described(app(**{name: value}))
        except Exception as error:  # noqa: BLE001 - that it is no other one is what is tested
            assert type(error).__name__ == "InvalidField"  # noqa: PT017


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_what_is_put_into_an_address_stays_one_value_of_it(name: str, error: str) -> None:
    values = macros({"status": "FAILED", "name": name, "_links": {"self": {"href": ""}}}, error)
    url = expanded("http://h/p?n=${JOB_NAME}&e=%24%7BJOB_ERROR%7D&s=${STATUS}", values)
    parts = urlsplit(url)
    assert (parts.netloc, parts.path, parts.fragment) == ("h", "/p", "")
    assert parse_qsl(parts.query, keep_blank_values=True) == [("n", name[:500]), ("e", error[:500]), ("s", "FAILED")]

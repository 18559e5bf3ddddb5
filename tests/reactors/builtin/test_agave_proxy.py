"""What the Agave Proxy makes of a message, with a daemon behind its ports that remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import pytest

from reactors.builtin.agave_proxy import handle
from reactors.pipelinejobs.identifiers import Identifiers
from reactors.pipelinejobs.records import Job, Pipeline
from reactors.pipelinejobs.states import JobState
from reactors.ports import AppUnknown, Exit, Invocation, JobRequest, Launched, LaunchRefused, Refused, SetUp

T = TypeVar("T")

NOW: Final = datetime(2019, 2, 15, tzinfo=UTC)
APP: Final = "tacobot9000-0.1.0u1"
DEFINITION: Final[dict[str, Any]] = {
    "appId": APP,
    "name": "TACObot job",
    "inputs": {"file1": "agave://data.tacc.cloud/examples/tacobot/test1.txt"},
    "parameters": {"salsa": True, "avocado": False, "cheese": True},
    "maxRunTime": "01:00:00",
}
# The worked example of the documentation.
MESSAGE: Final[dict[str, Any]] = {"parameters": {"sample_id": "sample.tacc.abcde"}, "job_definition": DEFINITION}
EXECUTION: Final = "http://server/actors/v2/ACTOR/executions/EXECUTION"
CALLBACK: Final = "http://server/actors/v2/MANAGER/messages?x-nonce=NONCE&token=TOKEN&uuid=UUID"
RECORD: Final = Job(
    uuid="107uuid",
    pipeline_uuid="106uuid",
    state=JobState.CREATED,
    last_event="create",
    data=DEFINITION,
    archive_system="data-sd2e-community",
    archive_path="/products/v2/P/L/D/casual-bass",
    session="casual-bass",
    owner="lab",
    created=NOW,
    updated=NOW,
    task=EXECUTION,
)


@dataclass
class Daemon:
    """A daemon that knows one app, one pipeline and one job; an error in place of an answer is raised."""

    app: Exception | None = None
    pipeline: Pipeline | Exception = field(default_factory=lambda: Pipeline("106uuid", {"id": APP}, "lab", NOW, NOW))
    job: Job | Exception = RECORD
    launched: Launched | Exception = field(default_factory=lambda: Launched("7-007", "http://server/jobs/v2/7-007"))
    refuses_events: bool = False
    generation: int = 0
    requests: list[JobRequest] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, Any] | None]] = field(default_factory=list)
    submitted: list[tuple[Mapping[str, Any], str]] = field(default_factory=list)

    def find(self, app_id: str) -> Mapping[str, Any]:
        assert app_id == APP
        found: Mapping[str, Any] = {}
        return _or_raise(self.app or found)

    def of_app(self, app_id: str) -> Pipeline:
        return _or_raise(self.pipeline)

    def set_up(self, request: JobRequest) -> SetUp:
        self.requests.append(request)
        return SetUp(_or_raise(self.job), "TOKEN", CALLBACK, created=True, generation=self.generation)

    def handle(self, uuid: str, event: str, token: str, data: Mapping[str, Any] | None) -> None:
        assert (uuid, token) == ("107uuid", "TOKEN")
        if self.refuses_events:
            raise Refused("not now")
        self.events.append((event, data))

    def submit(self, definition: Mapping[str, Any], *, key: str) -> Launched:
        self.submitted.append((definition, key))
        return _or_raise(self.launched)


def _or_raise(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer


def sent(message: Any, daemon: Daemon | None = None, **parameters: str) -> tuple[int, list[str]]:
    """Send a message to the proxy; its exit code and its log without the actor's id."""
    daemon = daemon or Daemon()
    lines: list[str] = []
    call = Invocation(
        actor_id="ACTOR",
        execution_id="EXECUTION",
        actor_url="http://server/actors/v2/ACTOR",
        execution_url=EXECUTION,
        username="lab",
        nickname="casual-bass",
        message=message if isinstance(message, str) else json.dumps(message),
        parameters=parameters,
        write=lambda line: lines.append(line.removeprefix("ACTOR ")),
        answer=lambda _: None,
    )
    ports: Any = SimpleNamespace(pipelines=daemon, jobs=daemon, launcher=daemon)
    with pytest.raises(Exit) as end:
        handle(call, ports)
    return end.value.code, lines


def test_the_documented_message_launches_a_job() -> None:
    daemon = Daemon()
    code, lines = sent(MESSAGE, daemon)
    assert code == 0
    assert lines[0] == f"INFO Received request to manage execution of {APP}"
    assert lines[1].startswith("INFO ManagedPipelineJob 107uuid is managing Agave job 7-007 (")
    assert lines[1].endswith(" usec)")
    assert daemon.events == [("run", {"job_link": "http://server/jobs/v2/7-007"})]
    [(definition, key)] = daemon.submitted
    assert key == "107uuid:0"
    assert definition == {
        **DEFINITION,
        "archive": True,
        "archiveSystem": "data-sd2e-community",
        "archivePath": "/products/v2/P/L/D/casual-bass",
        "notifications": [
            {"event": "*", "persistent": True, "url": f"{CALLBACK}&status=${{STATUS}}&note=${{JOB_ERROR}}"}
        ],
    }


def test_what_the_job_is_made_of() -> None:
    daemon = Daemon()
    sent(MESSAGE, daemon)
    [request] = daemon.requests
    assert request.data == DEFINITION
    assert request.linkage == {"sample_id": ["sample.tacc.abcde"]}
    assert request.instanced
    assert request.archive_patterns == [{"level": "1", "patterns": []}]
    assert (request.session, request.agent) == ("casual-bass", "http://server/actors/v2/ACTOR")
    assert (request.task, request.archive_path) == (EXECUTION, None)
    # The identifiers of the documented example (spec/pipelinejobs 11.3, last row).
    identifiers, sample = Identifiers(), "10395836-b9b5-5676-99e5-e6504f9078d4"
    job = identifiers.job("106bd127-e2d2-57ac-b9be-11ed06042e68", [sample], request.data)
    assert job == "10782da9-2c38-510a-993a-b33f9b43a752"


def test_control_parameters_are_honoured() -> None:
    daemon = Daemon()
    code, _ = sent(
        {
            **MESSAGE,
            "parameters": {"measurement_id": ["measurement.tacc.1234", "measurement.tacc.2345"]},
            "archive_path": "agave://data-tacc-cloud/products/mine",
            "instanced": False,
            "data": {"parameters": {"cheese": False}, "more": 1},
            "index_patterns": [".bam$"],
            "processing_level": "2",
        },
        daemon,
    )
    assert code == 0
    [request] = daemon.requests
    assert request.linkage == {"measurement_id": ["measurement.tacc.1234", "measurement.tacc.2345"]}
    assert (request.archive_system, request.archive_path) == ("data-tacc-cloud", "/products/mine")
    assert not request.instanced
    assert request.data["parameters"] == {"salsa": True, "avocado": False, "cheese": False}
    assert request.data["more"] == 1
    assert request.archive_patterns == [{"level": "2", "patterns": [".bam$"]}]
    [(definition, _)] = daemon.submitted
    assert definition["parameters"]["cheese"] is True, (
        "the data describes the job, and does not change what is launched"
    )


def test_own_notifications_are_kept() -> None:
    daemon, own = Daemon(), {"event": "FINISHED", "persistent": False, "url": "http://lab/done"}
    sent({**MESSAGE, "job_definition": {**DEFINITION, "notifications": [own]}}, daemon)
    notifications = daemon.submitted[0][0]["notifications"]
    assert notifications[0] == own
    assert len(notifications) == 2


def test_local_mode_prints_what_would_be_launched() -> None:
    daemon = Daemon()
    code, lines = sent(MESSAGE, daemon, LOCALONLY="1")
    assert code == 0
    assert json.loads(lines[1].removeprefix("INFO "))["archive"] is True
    assert daemon.submitted == []
    assert daemon.events == []


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("{", "Failed to load JSON from message : "),
        ("[" * 100_000, "Failed to load JSON from message : "),
        ([], "Failed to validate message to schema : "),
        ({"job_definition": DEFINITION}, "Failed to validate message to schema : "),
        ({**MESSAGE, "parameters": {}}, "Failed to validate message to schema : "),
        ({**MESSAGE, "job_definition": {"name": "no app"}}, "Failed to validate message to schema : "),
        ({**MESSAGE, "more": 1}, "Failed to validate message to schema : "),
        ({**MESSAGE, "archive_path": "/no/uri"}, "Failed to validate message to schema : "),
        ({**MESSAGE, "archive_path": "agave://system/../../etc"}, "Failed to set up ManagedPipelineJob : "),
    ],
)
def test_messages_that_are_refused(message: Any, text: str) -> None:
    daemon = Daemon()
    code, lines = sent(message, daemon)
    assert code == 1
    assert lines[-1].startswith(f"CRITICAL {text}")
    assert daemon.submitted == []


@pytest.mark.parametrize(
    ("daemon", "text"),
    [
        (Daemon(app=AppUnknown("gone")), f"{APP} is not a known Agave application : gone"),
        (Daemon(app=Refused("asleep")), "Failed to look up Agave application : asleep"),
        (
            Daemon(pipeline=Refused("none")),
            f"Failed to resolve appId {APP} to a Pipeline record : No 'pipelines' record found in database",
        ),
        (
            Daemon(pipeline=Pipeline("106uuid", {"id": APP}, "lab", NOW, NOW, visible=False)),
            f"Failed to resolve appId {APP} to a Pipeline record : Pipeline 106uuid is retired",
        ),
        (Daemon(job=Refused("no such sample")), "Failed to set up ManagedPipelineJob : no such sample"),
    ],
)
def test_what_stands_in_the_way_is_said(daemon: Daemon, text: str) -> None:
    assert sent(MESSAGE, daemon) == (
        1,
        [f"INFO Received request to manage execution of {APP}", f"CRITICAL {text}"],
    )
    assert daemon.submitted == []


@pytest.mark.parametrize(
    ("launched", "text"),
    [
        (LaunchRefused("no input"), "PipelineJob 107uuid failed because Encountered API error : no input"),
        (Refused("asleep"), f"PipelineJob 107uuid failed because Failed to launch {APP} : asleep"),
    ],
)
def test_a_job_that_could_not_be_launched_has_failed(launched: Exception, text: str) -> None:
    daemon = Daemon(launched=launched)
    code, lines = sent(MESSAGE, daemon)
    assert (code, lines[-1]) == (1, f"CRITICAL {text}")
    assert daemon.events == [("fail", {"message": str(launched)})]


def test_a_launched_job_that_cannot_be_told_so_is_a_success() -> None:
    code, lines = sent(MESSAGE, Daemon(refuses_events=True))
    assert code == 0
    assert lines[1].startswith("WARNING PipelineJob 107uuid was launched, but not told so")


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.CREATED])
def test_the_same_request_again_is_refused_once_the_job_has_begun(state: JobState) -> None:
    daemon = Daemon(job=replace(RECORD, state=state, task="http://server/actors/v2/ACTOR/executions/EARLIER"))
    code, lines = sent(MESSAGE, daemon)
    assert code == 1
    assert ("already running" if state is JobState.RUNNING else "reset it") in lines[-1]
    assert daemon.submitted == []


def test_a_job_that_has_not_begun_is_launched_as_it_is() -> None:
    daemon = Daemon(job=replace(RECORD, task="earlier", archive_path="/products/v2/P/L/D/solid-snake"), generation=2)
    assert sent(MESSAGE, daemon)[0] == 0
    [(definition, key)] = daemon.submitted
    assert definition["archivePath"] == "/products/v2/P/L/D/solid-snake"
    assert key == "107uuid:2", "a job that was reset is launched anew, and not found among those of before"


def test_the_execution_that_made_the_job_may_be_run_again() -> None:
    daemon = Daemon(job=replace(RECORD, state=JobState.RUNNING))
    assert sent(MESSAGE, daemon)[0] == 0
    assert daemon.submitted[0][1] == "107uuid:0", "which gives the job that was launched before"

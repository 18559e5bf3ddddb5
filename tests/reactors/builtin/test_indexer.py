"""What the Indexer asks of the daemon, with ports that note it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, cast

import pytest

from reactors.builtin.indexer import handle
from reactors.pipelinejobs.identifiers import Identifiers, Kind
from reactors.pipelinejobs.records import Job
from reactors.pipelinejobs.states import JobState
from reactors.ports import Exit, FileRecord, FileSeen, Handled, Invocation, Listing, Outgoing, Ports, Refused

IDS: Final = Identifiers()
JOB: Final = "107596b8-25b2-557d-9702-853f0690c576"
TOKEN: Final = "0dc73dc3ff39b49a"
SYSTEM: Final = "data-sd2e-community"
ARCHIVE: Final = "/products/v2/p/l/d"
NOW: Final = datetime(2020, 1, 1, tzinfo=UTC)
UPLOADED: Final = "/uploads/tacc/345.txt"
FINISHED: Final = Job(JOB, "106", JobState.FINISHED, "finish", {}, SYSTEM, ARCHIVE, "", "ada", NOW, NOW)


@dataclass
class World:
    """A job with an archive, and all that the Indexer did. `known` are the records of the catalog by what names them."""

    names: Sequence[str] = ("a.bam", "b.txt")
    passed_over: Sequence[str] = ()
    elsewhere: Sequence[str] = ()
    known: dict[str, str] = field(default_factory=dict)
    job: Job = FINISHED
    refused: set[str] = field(default_factory=set)
    """What is refused: names of methods, events, and paths."""
    events: list[tuple[str, str | None, Any]] = field(default_factory=list)
    sent: list[Outgoing] = field(default_factory=list)
    written: dict[str, FileRecord] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    # --- the ports

    def get(self, uuid: str) -> Job:
        self._check(uuid)
        return self.job

    def handle(self, uuid: str, event: str, token: str | None, data: Mapping[str, Any] | None) -> Handled:
        self._check(event)
        self.events.append((event, token, data))
        return Handled(self.job, "FINISHED")

    def send(self, outgoing: Outgoing) -> str:
        self._check("send")
        self.sent.append(outgoing)
        return "execution"

    def listing(self, system: str, path: str) -> Listing:
        self._check("listing")
        assert (system, path) == (SYSTEM, ARCHIVE)
        return Listing([f"{ARCHIVE}/{name}" for name in self.names], self.passed_over)

    def checksum(self, system: str, path: str) -> tuple[FileSeen, str]:
        self._check(path)
        return FileSeen(path, 3, 4.5), f"hash of {path}"

    def exists(self, system: str, path: str) -> bool:
        self._check(path)
        return path in {f"{ARCHIVE}/{name}" for name in self.names} | {*self.elsewhere}

    def write_files(self, records: Iterable[FileRecord]) -> int:
        new = list(records)
        self._check("write_files")
        assert len({(record.system, record.path) for record in new}) == len(new)
        for record in new:
            self.written[record.path] = record
            self.known[f"agave://{record.system}{record.path}"] = IDS.file(record.path, record.system)
        return len(new)

    def resolve(self, identifiers: Sequence[str], kinds: Sequence[str]) -> Mapping[str, str]:
        self._check("resolve")
        return {name: self.known[name] for name in identifiers if name in self.known}

    def _check(self, what: str) -> None:
        if what in self.refused:
            raise Refused(f"{what} is refused")

    # --- the test's side

    def run(self, message: Any = "", *, may_update: bool = False, by_nonce: bool = False, **parameters: str) -> int:
        """Let the Indexer handle a message; the exit code."""
        port = cast("Any", self)
        call = Invocation(
            actor_id="actor",
            execution_id="execution",
            actor_url="",
            execution_url="",
            username="ada",
            nickname="",
            message=message if isinstance(message, str) else json.dumps(message),
            parameters=parameters,
            write=self.log.append,
            answer=self.answers.append,
            by_nonce=by_nonce,
            may_update=may_update,
        )
        try:
            ports = Ports(pipelines=port, jobs=port, messenger=port, files=port, catalog=port, launcher=port)
            handle(call, ports)
        except Exit as end:
            return end.code
        return 0

    def index(self, **fields: Any) -> int:
        return self.run({"uuid": JOB, "name": "index", "token": TOKEN, **fields})

    @property
    def files(self) -> dict[str, str]:
        """The levels of the files written, by their names in the archive."""
        return {path.removeprefix(f"{ARCHIVE}/"): record.level for path, record in self.written.items()}


@pytest.fixture
def world() -> World:
    return World()


def test_a_job_is_indexed_and_marked_so(world: World) -> None:
    assert world.index() == 0
    assert world.events == [("index", TOKEN, {"level": "1"})]
    assert world.sent == [Outgoing("pipelinejobs-indexer", {"uuid": JOB, "name": "indexed", "token": TOKEN})]
    (line,) = world.log
    assert line.startswith(f"actor INFO Indexed 2 files to PipelineJob {JOB}. (")
    assert line.endswith(" usec)")
    assert world.answers == [json.dumps([f"{ARCHIVE}/a.bam", f"{ARCHIVE}/b.txt"]).encode()]
    record = world.written[f"{ARCHIVE}/a.bam"]
    assert (record.system, record.type, record.level, record.note) == (SYSTEM, "BAM", "1", None)
    assert record.links == {
        "child_of": (JOB,),
        "generated_by": (JOB,),
        "derived_from": (),
        "derived_using": (),
    }
    assert record.fixity is not None
    assert (record.fixity.checksum, record.fixity.size, record.fixity.modified) == (f"hash of {record.path}", 3, 4.5)


def test_a_job_is_marked_as_indexed(world: World) -> None:
    assert world.run({"uuid": JOB, "name": "indexed", "token": TOKEN}) == 0
    assert world.events == [("indexed", TOKEN, None)]
    assert world.log == [f"actor INFO Processed indexed event for {JOB}"]
    assert not world.sent
    assert not world.written


@pytest.mark.parametrize(
    ("message", "parameters"),
    [
        ({"uuid": JOB, "name": "index", "token": TOKEN, "level": "2", "filters": [".bam%24"]}, {}),
        ({"filters": [".bam%24"]}, {"uuid": JOB, "name": "index", "token": TOKEN, "level": "2"}),
        ("", {"uuid": JOB, "token": TOKEN, "level": "2", "filters": ".bam%24"}),
        ("", {"uuid": JOB, "token": TOKEN, "level": "2", "filters": '[".bam%24", "nothing"]'}),
        ("{}", {"uuid": JOB, "event": "index", "token": TOKEN, "processing_level": "2", "filters": "[.]bam$"}),
        (f"{{'uuid': '{JOB}', 'token': '{TOKEN}', 'processing_level': '2', 'filters': ['bam']}}", {"token": "other"}),
        ({"uuid": f"uri:urn:{JOB}", "filters": [{"patterns": ["bam$"], "level": "2"}]}, {"token": TOKEN, "level": "3"}),
    ],
)
def test_what_is_asked_comes_from_the_body_or_else_the_query(
    world: World, message: Any, parameters: dict[str, Any]
) -> None:
    assert world.run(message, **parameters) == 0
    assert world.files == {"a.bam": "2"}
    assert world.events[0][:2] == ("index", TOKEN)


def test_the_query_can_mark_a_job_as_indexed(world: World) -> None:
    assert world.run(uuid=JOB, token=TOKEN, name="indexed") == 0
    assert [name for name, *_ in world.events] == ["indexed"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({}, "uuid: it is missing"),
        ({"uuid": "1064aaf1-459c-5e42-820d-b822aa4b3990"}, "no UUID of a job"),
        ({"uuid": [JOB]}, "no UUID of a job"),
        ({"uuid": JOB, "name": "reset"}, "name: it is neither"),
        ({"uuid": JOB, "name": {}}, "name: it is neither"),
        ({"uuid": JOB, "token": 1}, "token: it must be a text"),
        ({"uuid": JOB, "token": TOKEN, "level": "9"}, "level"),
        ({"uuid": JOB, "token": TOKEN, "level": 1}, "level"),
        ({"uuid": JOB, "token": TOKEN, "filters": "a"}, "filters"),
        ({"uuid": JOB, "token": TOKEN, "filters": [1]}, "filters"),
        ({"uuid": JOB, "token": TOKEN, "filters": [{"patterns": ["a"], "odd": 1}]}, "odd"),
        ({"uuid": JOB, "token": TOKEN, "filters": ["%ff"]}, "UTF-8"),
        ("[" * 100_000, "nested"),
        ("no message", "neither JSON"),
    ],
)
def test_what_cannot_be_understood_touches_nothing(world: World, message: Any, said: str) -> None:
    assert world.run(message) == 1
    assert world.log[-1].startswith("actor CRITICAL Failed to interpret indexing request : ")
    assert said in world.log[-1]
    assert not world.events


@pytest.mark.parametrize("name", ["index", "indexed"])
def test_without_a_token_come_only_those_who_may_change_the_indexer(world: World, name: str) -> None:
    message = {"uuid": JOB, "name": name}
    assert world.run(message) == 1
    assert world.run(message, may_update=True, by_nonce=True) == 1
    assert all(" : token: send the update token of the job; " in line for line in world.log)
    assert not world.events
    assert world.run(message, may_update=True) == 0
    assert world.events[0][1] is None
    assert all("token" not in outgoing.message for outgoing in world.sent)


def test_the_jobs_own_patterns_count_where_there_are_no_filters(world: World) -> None:
    world.job = replace(
        world.job,
        archive_patterns=({"patterns": [r"\.bam$"], "level": "3"},),
        product_patterns=({"patterns": ["b"], "derived_from": ["./a.bam"], "level": "2", "note": "made"},),
    )
    assert world.index() == 0
    assert world.files == {"a.bam": "2", "b.txt": "2"}
    world.written.clear()
    assert world.index(filters=["txt"], level="0") == 0
    assert world.files == {"b.txt": "0"}
    assert world.answers[-1] == json.dumps([f"{ARCHIVE}/b.txt"]).encode()


def test_nothing_found_is_a_success(world: World) -> None:
    assert world.index(filters=["^nothing$"]) == 0
    assert world.answers == [b"[]"]
    assert "Indexed 0 files" in world.log[-1]
    assert world.sent


@pytest.mark.parametrize("what", [JOB, "listing", "index"])
def test_what_fails_before_the_event_leaves_the_job_as_it_is(world: World, what: str) -> None:
    world.refused.add(what)
    assert world.index() == 1
    assert world.log == [f"actor CRITICAL Failed to accomplish indexing : {what} is refused"]
    assert not world.events
    assert not world.written
    assert not world.sent


@pytest.mark.parametrize(
    ("fields", "refused", "said"),
    [
        ({"filters": ["a", "(b"]}, "", "'(b' is no pattern for RE2"),
        ({"filters": [{"patterns": [r"(a)\1"]}]}, "", "no pattern for RE2"),
        ({}, "write_files", "write_files is refused"),
        ({"filters": [{"patterns": [], "derived_from": ["a.b"]}]}, "resolve", "resolve is refused"),
    ],
)
def test_what_fails_afterwards_is_told_in_the_jobs_history(
    world: World, fields: dict[str, Any], refused: str, said: str
) -> None:
    world.refused.add(refused)
    assert world.index(**fields) == 1
    assert world.log[-1].startswith("actor CRITICAL Failed to accomplish indexing : ")
    assert said in world.log[-1]
    (_, (event, token, data)) = world.events
    assert (event, token) == ("update", TOKEN)
    assert said in data["error"]
    assert not world.sent
    assert not world.answers


def test_a_history_that_takes_nothing_more_is_no_crash(world: World) -> None:
    world.refused.update({"write_files", "update"})
    assert world.index() == 1
    assert "WARNING" in world.log[0]
    assert "write_files is refused" in world.log[1]


def test_a_message_that_cannot_be_sent_is_a_failure(world: World) -> None:
    world.refused.add("send")
    assert world.index() == 1
    assert world.log[-1] == "actor CRITICAL Failed to send indexed event : send is refused"


def test_sources_are_uuids_ids_uris_and_paths(world: World) -> None:
    reference, sample = IDS.typed(Kind.REFERENCE, "hg19"), IDS.typed(Kind.FILE, "other")
    process = IDS.typed(Kind.PROCESS, "aligner")
    world.known = {"hg19": reference, sample: sample, "aligner": process, "https://example.org/": reference}
    world.elsewhere = [UPLOADED]
    product = {
        "patterns": ["txt"],
        "derived_from": [sample, "./a.bam", f"{ARCHIVE}//a.bam", UPLOADED, f"agave://far{UPLOADED}"],
        "derived_using": ["hg19", "https://example.org/"],
        "generated_by": ["aligner"],
    }
    assert world.index(filters=[product], level="2") == 0
    made = world.written[f"{ARCHIVE}/b.txt"]
    assert made.links["derived_from"] == (
        sample,
        IDS.file(f"{ARCHIVE}/a.bam"),
        IDS.file(f"{ARCHIVE}/a.bam"),
        IDS.file(UPLOADED),
        IDS.file(UPLOADED, "far"),
    )
    assert made.links["derived_using"] == (reference, reference)
    assert made.links["generated_by"] == (JOB, process)
    assert made.fixity is None
    # What was not indexed before is entered on the way: the job's own file as one of its products.
    source = world.written[f"{ARCHIVE}/a.bam"]
    assert (source.level, source.links) == ("2", {"child_of": (JOB,), "generated_by": (JOB,)})
    assert (world.written[UPLOADED].level, world.written[UPLOADED].links) == ("Unknown", {})


@pytest.mark.parametrize(
    "source",
    [
        *(
            "./absent.txt",
            "nothing",
            "/absent",
            "./../other/a.bam",
            "/products/../uploads/a",
            "agave://",
            "agave://x/../a",
        ),
        *("./a\0b", "\u202e", "agave://no where/a", "agave://data-sd2e-community"),
    ],
)
def test_sources_that_mean_nothing_end_the_indexing_unless_it_is_permissive(world: World, source: str) -> None:
    product = {"patterns": ["a.bam$"], "derived_using": [], "derived_from": [source]}
    assert world.index(filters=[product]) == 1
    assert "Unknown sources: " in world.log[-1]
    assert not world.written
    for permissive in (True, "true"):
        assert world.index(filters=[product], permissive=permissive) == 0
    assert world.run({"filters": [product]}, uuid=JOB, token=TOKEN, permissive="true") == 0
    assert any("WARNING Unknown sources: " in line for line in world.log)
    assert world.written[f"{ARCHIVE}/a.bam"].links["derived_from"] == ()


def test_sources_of_files_that_are_not_there_do_not_matter(world: World) -> None:
    assert world.index(filters=[{"patterns": ["^none$"], "derived_from": ["nothing"]}]) == 0


def test_a_source_on_a_system_that_refuses_is_unknown(world: World) -> None:
    world.refused.add(UPLOADED)
    assert world.index(filters=[{"patterns": [], "derived_from": [UPLOADED]}]) == 1
    assert "Unknown sources" in world.log[-1]


def test_a_file_that_cannot_be_read_has_no_checksum(world: World) -> None:
    world.refused.add(f"{ARCHIVE}/a.bam")
    assert world.index() == 0
    assert [record.fixity is None for record in world.written.values()] == [True, False]
    assert world.log[0] == f"actor WARNING No checksum of '{ARCHIVE}/a.bam' : {ARCHIVE}/a.bam is refused"


def test_names_that_cannot_be_recorded_are_passed_over_with_a_warning(world: World) -> None:
    world.names = ("a\nb", "a ", "a\t", "é\u202e", "x\n")
    world.passed_over = ["\\udcff", "link"]
    assert world.index() == 0
    assert world.files == {"a\nb": "1", "é\u202e": "1"}
    assert world.log[0].startswith("actor WARNING Passed over 5 names in the archive")
    assert "\\udcff, link, " in world.log[0]
    assert len(world.log) == 2
    assert json.loads(world.answers[0]) == [f"{ARCHIVE}/a\nb", f"{ARCHIVE}/é\u202e"]


def test_many_files_are_answered_in_several_results(world: World) -> None:
    world.names = [f"{number:05}-{'é' * 100}" for number in range(5_000)]
    assert world.index() == 0
    assert max(map(len, world.answers)) <= 131_072
    assert len(world.answers) == -(-sum(map(len, world.answers)) // 131_072)
    paths = [path for answer in world.answers for path in json.loads(answer)]
    assert paths == [f"{ARCHIVE}/{name}" for name in world.names]


def test_patterns_that_others_take_for_ever_for_do_not(world: World) -> None:
    world.names = ["a" * 200 + "!", *(f"{'ab' * 100}{number}" for number in range(200))]
    began = time.monotonic()
    assert world.index(filters=["(a%2B)%2B%24", "(a|a)*b%24", "([a-z]%2B)*%23"]) == 0
    assert time.monotonic() - began < 2
    assert world.answers == [b"[]"]


def test_very_many_patterns_are_warned_of(world: World) -> None:
    assert world.index(filters=[f"^{number}$" for number in range(20_000)]) == 0
    assert any("WARNING 20000 patterns are many" in line for line in world.log)
    assert world.index(filters=[{"patterns": ["bam"], "level": "1"}] * 100) == 0
    assert any("WARNING 100 filters are many" in line for line in world.log)


def test_a_huge_pattern_is_an_error_of_its_own(world: World) -> None:
    assert world.index(filters=["(a{1000}){1000}"]) == 1
    assert world.index(filters=["a" * 20_000_000]) in (0, 1)
    assert len(world.log[-1]) < 1_000
    assert len(str(world.events[-1])) < 2_000

from __future__ import annotations

import ctypes
import os
import resource
import socket
import stat
import threading
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abacod.errors import FileMissing, PathRefused
from abacod.services.storage.copying import Broken, copy
from abacod.services.storage.systems import Place, Systems


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory of the system `data`; beside it lies a secret."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def systems(root: Path) -> Systems:
    (root.parent / "other").mkdir()
    return Systems({"data": root, "other": root.parent / "other"})


def content(systems: Systems, path: str) -> bytes:
    with systems.opened("data", path) as file:
        return file.read()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_uri_names_a_place_of_a_system(systems: Systems) -> None:
    place = systems.split("agave://data//examples/./a%20b c.txt")
    assert place == Place("data", "/examples/a%20b c.txt")
    assert place.uri == "agave://data/examples/a%20b c.txt"
    assert systems.split("agave://data") == Place("data", "/")


@pytest.mark.parametrize(
    "uri", ["", "/a", "http://data/a", "agave://", "agave:///a", "agave://nope/a", "agave://da\ud800ta/a"]
)
def test_what_names_no_system_is_refused_with_those_there_are(systems: Systems, uri: str) -> None:
    with pytest.raises(PathRefused, match=r"data, other|write agave://SYSTEM/PATH") as error:
        systems.split(uri)
    error.value.message.encode()


@pytest.mark.parametrize(
    "path",
    ["..", "/..", "a/../../b", "a/..", "a\0b", "a\ud800", "x" * 256, "é" * 128, "/".join(["x" * 100] * 41), "a/" * 201],
)
def test_paths_that_no_file_can_have_are_refused(systems: Systems, path: str) -> None:
    for use in (
        systems.listing,
        systems.exists,
        systems.checksum,
        systems.state,
        systems.make_directory,
        systems.empty_directory,
    ):
        with pytest.raises(PathRefused) as error:
            use("data", path)
        error.value.message.encode()
    with pytest.raises(PathRefused):
        systems.split("agave://data/" + path)


def test_files_are_listed_with_all_below_sorted_and_absolute(systems: Systems, root: Path) -> None:
    (root / "p" / "b" / "c").mkdir(parents=True)
    for name in ("p/z.txt", "p/b/c/1", "p/a"):
        (root / name).write_text(name)
    (root / os.fsdecode(b"p/\xff")).touch()
    assert systems.listing("data", "/p/") == ["/p/a", "/p/b/c/1", "/p/z.txt"]
    assert systems.listing("data", "/") == systems.listing("data", "p")
    with pytest.raises(FileMissing):
        systems.listing("data", "/q")
    with pytest.raises(PathRefused, match="cannot be entered"):
        systems.listing("data", "/p/a")


def test_links_are_followed_to_files_inside_and_nowhere_else(systems: Systems, root: Path) -> None:
    (root / "p" / "sub").mkdir(parents=True)
    (root / "q").mkdir()
    (root / "q" / "real").write_text("inside")
    for name, target in {
        "relative": "../q/real",
        "absolute": str(root / "q" / "real"),
        "chain": "sub/../relative",
        "out": "../../secret",
        "far": "../../../../../../../../etc/passwd",
        "host": "/etc/passwd",
        "neighbour": str(root) + "-secret",
        "broken": "nothing",
        "loop": "loop",
        "directory": "../q",
        "root": "..",
    }.items():
        (root / "p" / name).symlink_to(target)
    passed_over: list[str] = []
    listed = systems.listing("data", "/p", passed_over=passed_over.append)
    assert listed == ["/p/absolute", "/p/chain", "/p/relative"]
    assert sorted(passed_over) == ["broken", "directory", "far", "host", "loop", "neighbour", "out", "root"]
    for name in ("relative", "absolute", "chain", "directory/real"):
        assert content(systems, f"/p/{name}") == b"inside"
    for name in ("out", "far", "host", "neighbour", "loop", "directory", "root"):
        with pytest.raises(PathRefused):
            content(systems, f"/p/{name}")
    with pytest.raises(FileMissing):
        content(systems, "/p/broken")


def test_a_linked_directory_that_leads_out_is_not_entered(systems: Systems, root: Path) -> None:
    (root / "way").symlink_to(root.parent / "outside")
    (root / "up").symlink_to("../outside")
    for name in ("way", "up"):
        for use in (systems.listing, systems.empty_directory, systems.make_directory):
            with pytest.raises(PathRefused, match=r"leads out of the storage system data|is a link"):
                use("data", name)
        with pytest.raises(PathRefused):
            systems.make_directory("data", f"{name}/new")
        with pytest.raises(PathRefused):
            content(systems, f"{name}/secret")
    assert names(root.parent / "outside") == ["secret"]


def test_special_files_are_refused_and_never_waited_for(systems: Systems, root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    (root / "linked").symlink_to("fifo")
    (root / "bad").mkdir()
    (root / "bad" / os.fsdecode(b"\xff")).touch()
    passed_over: list[str] = []
    assert systems.listing("data", "/", passed_over=passed_over.append) == []
    assert sorted(passed_over) == ["bad/\udcff", "fifo", "linked", "socket"]
    for name in ("fifo", "socket", "linked"):
        with pytest.raises(PathRefused, match="no regular file"):
            content(systems, name)


def test_a_checksum_tells_size_time_and_digest(systems: Systems, root: Path) -> None:
    data = b"0123456789" * 300_000
    (root / "big").write_bytes(data)
    os.utime(root / "big", (1_600_000_000.5, 1_600_000_000.5))
    state, digest = systems.checksum("data", "/big")
    assert (state.size, state.modified, digest) == (len(data), 1_600_000_000.5, sha256(data).hexdigest())
    assert systems.state("data", "big") == state
    assert systems.exists("data", "/big")
    assert not systems.exists("data", "/small")


def test_a_system_whose_directory_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PathRefused, match="the storage system gone cannot be opened"):
        Systems({"gone": tmp_path / "gone"}).listing("gone", "/")


def test_a_directory_is_made_with_those_above_it(systems: Systems, root: Path) -> None:
    systems.make_directory("data", "/products/v2/a")
    systems.make_directory("data", "/products/v2/a")
    assert (root / "products" / "v2" / "a").is_dir()
    (root / "file").touch()
    with pytest.raises(PathRefused):
        systems.make_directory("data", "/file/a")


def test_a_directory_is_emptied_whatever_is_in_it(systems: Systems, root: Path) -> None:
    target = root / "products" / "a"
    target.mkdir(parents=True)
    (target / "file").touch()
    (target / "link").symlink_to(root.parent / "outside")
    os.mkfifo(target / "fifo")
    locked = target / "locked"
    (locked / "deep").mkdir(parents=True)
    (locked / "deep" / "file").touch()
    (locked / "deep").chmod(0)
    locked.chmod(0)
    systems.empty_directory("data", "/products/a")
    assert list(target.iterdir()) == []
    assert (root.parent / "outside" / "secret").exists()
    with pytest.raises(PathRefused, match="not emptied"):
        systems.empty_directory("data", "/")
    (root / "self").symlink_to(".")
    with pytest.raises(PathRefused, match="not emptied"):
        systems.empty_directory("data", "/self")


def test_a_link_is_not_emptied_for_the_directory_that_it_leads_to(systems: Systems, root: Path) -> None:
    (root / "important").mkdir()
    (root / "important" / "keep").touch()
    (root / "archive").symlink_to("important")
    with pytest.raises(PathRefused, match="not emptied"):
        systems.empty_directory("data", "/archive")
    assert names(root / "important") == ["keep"]


def test_files_are_not_left_out_when_descriptors_run_out(systems: Systems, root: Path) -> None:
    deep = Path(*["d"] * 100)
    (root / deep).mkdir(parents=True)
    (root / deep / "file").touch()
    (root / "p").mkdir()
    (root / "p" / "link").symlink_to(".." / deep / "file")
    # given as many descriptors as the directory takes, and not the file that the link leads to
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(root, os.O_RDONLY) for _ in range(20)]
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
    try:
        for use in (systems.listing, systems.exists):
            with pytest.raises(OSError, match="Too many open files"):
                use("data", "/p" if use == systems.listing else "/p/link")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert systems.listing("data", "/p") == ["/p/link"]


def test_a_directory_deeper_than_any_path_is_removed_but_not_listed(systems: Systems, root: Path) -> None:
    (root / "deep").mkdir()
    at = os.open(root / "deep", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d" * 20, dir_fd=at)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    with pytest.raises(PathRefused, match="deeper"):
        systems.listing("data", "/deep")
    systems.empty_directory("data", "/deep")
    assert list((root / "deep").iterdir()) == []


def test_a_file_and_a_directory_are_copied_between_systems(systems: Systems, root: Path) -> None:
    (root / "in" / "sub").mkdir(parents=True)
    (root / "in" / "sub" / "run.sh").write_text("#!/bin/sh")
    (root / "in" / "sub" / "run.sh").chmod(0o755)
    (root / "in" / "linked").symlink_to("sub/run.sh")
    (root / "in" / "out").symlink_to("../../secret")
    data, other = systems.root("data"), systems.root("other")
    assert copy(data, "/in", other, "/x/y") == ["x/y/linked", "x/y/sub/run.sh"]
    assert copy(data, "/in/sub/run.sh", other, "file") == ["file"]
    assert (other.path / "x/y/linked").read_text() == "#!/bin/sh"
    assert not (other.path / "x/y/linked").is_symlink()
    assert stat.S_IMODE((other.path / "file").stat().st_mode) == 0o755
    assert not (other.path / "x/y/out").exists()


def test_a_copy_replaces_files_and_links_but_no_directories(systems: Systems, root: Path) -> None:
    (root / "new").write_text("new")
    data, other = systems.root("data"), systems.root("other")
    (other.path / "old").write_text("old")
    (other.path / "link").symlink_to(root.parent / "secret")
    (other.path / "way").symlink_to(root.parent / "outside")
    (other.path / "directory").mkdir()
    copy(data, "new", other, "old")
    copy(data, "new", other, "link")
    assert (other.path / "old").read_text() == (other.path / "link").read_text() == "new"
    assert (root.parent / "secret").read_text() == "secret"
    with pytest.raises(PathRefused, match="leads out"):
        copy(data, "new", other, "way/new")
    with pytest.raises(PathRefused, match="is a directory"):
        copy(data, "new", other, "directory")
    with pytest.raises(FileMissing):
        copy(data, "nothing", other, "x")
    assert names(other.path) == ["directory", "link", "old", "way"]


def test_a_copy_that_is_not_wanted_any_more_leaves_nothing(systems: Systems, root: Path) -> None:
    (root / "new").write_text("new")
    other = systems.root("other")
    with pytest.raises(Broken):
        copy(systems.root("data"), "new", other, "new", wanted=lambda: False)
    assert names(other.path) == []


def test_a_link_put_in_the_way_meanwhile_leads_nowhere(systems: Systems, root: Path) -> None:
    """Another process swaps a directory with a link out of the system, as fast as it can."""
    (root / "spot").mkdir()
    (root / "spot" / "secret").write_text("public")
    (root / "link").symlink_to(root.parent / "outside")
    ended = threading.Event()

    def swap() -> None:
        exchange = ctypes.CDLL(None).renameat2
        one, other = str(root / "spot").encode(), str(root / "link").encode()
        while not ended.is_set():
            assert exchange(-100, one, -100, other, 2) == 0  # from the working directory, RENAME_EXCHANGE

    swapping = threading.Thread(target=swap)
    swapping.start()
    seen: set[bytes | type[Exception]] = set()
    try:
        for number in range(3000):
            try:
                seen.add(content(systems, "/spot/secret"))
                systems.make_directory("data", f"/spot/made-{number % 5}")
                systems.empty_directory("data", "/spot/made-0")
                systems.listing("data", "/")
            except (PathRefused, FileMissing) as error:
                seen.add(type(error))
    finally:
        ended.set()
        swapping.join()
    assert b"public" in seen
    assert PathRefused in seen
    assert b"secret" not in seen
    assert names(root.parent / "outside") == ["secret"]


_NAMES = st.sampled_from(["..", ".", "", "a", "b", "link", "up", "secret", "outside", "data", "\0", "\ud800"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    parts=st.lists(_NAMES, max_size=8), targets=st.tuples(st.lists(_NAMES, max_size=6), st.lists(_NAMES, max_size=6))
)
def test_no_path_and_no_link_reaches_what_is_outside(
    systems: Systems, root: Path, parts: list[str], targets: tuple[list[str], list[str]]
) -> None:
    (root / "a" / "b").mkdir(parents=True, exist_ok=True)
    for name, target in zip(("link", "a/up"), targets, strict=True):
        if (root / name).is_symlink():
            (root / name).unlink()
        text = "/".join(target).replace("\0", "").replace("\ud800", "")
        if text and not (root / name).exists():
            (root / name).symlink_to(text)
    path = "/".join(parts)
    for use in (content, lambda systems, path: systems.listing("data", path)):
        try:
            found = use(systems, path)
        except (PathRefused, FileMissing):
            continue
        assert found != b"secret"
        assert not [name for name in found if str(name).endswith("secret")]
    with suppress(PathRefused, FileMissing):
        systems.make_directory("data", path)
    assert names(root.parent) == ["data", "other", "outside", "secret"]
    assert names(root.parent / "outside") == ["secret"]

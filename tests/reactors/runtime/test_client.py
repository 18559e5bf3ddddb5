"""The platform as a program calls it, and Agave's odds and ends (spec/pipelinejobs 8.4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from reactors.runtime import DaemonError, Reactor, ReactorError, agaveutils
from tests.reactors.runtime.conftest import TOKEN
from tests.reactors.runtime.stub import Reply, Stub

Make = Callable[..., Reactor]


@pytest.mark.parametrize(
    ("call", "method", "path", "body"),
    [
        (lambda client: client.jobs.submit(body={"appId": "a-1.0"}), "POST", "/jobs/v2", {"appId": "a-1.0"}),
        (lambda client: client.jobs.get(jobId="1-007"), "GET", "/jobs/v2/1-007", None),
        (lambda client: client.jobs.manage("1-007", {"action": "stop"}), "POST", "/jobs/v2/1-007", {"action": "stop"}),
        (lambda client: client.apps.get(appId="a-1.0"), "GET", "/apps/v2/a-1.0", None),
        (lambda client: client.profiles.get(), "GET", "/profiles/v2/me", None),
        (lambda client: client.actors.get(actorId="x"), "GET", "/actors/v2/x", None),
        (
            lambda client: client.actors.sendMessage(actorId="x", body={"message": "m"}, environment={"a": "b"}),
            "POST",
            "/actors/v2/x/messages",
            {"message": "m"},
        ),
        (lambda client: client.actors.updateState(actorId="x", body=[1]), "POST", "/actors/v2/x/state", [1]),
        (lambda client: client.actors.getState(actorId="x"), "GET", "/actors/v2/x/state", None),
    ],
)
def test_operations_of_agave(
    reactor: Make, daemon: Stub, call: Callable[[Any], Any], method: str, path: str, body: Any
) -> None:
    daemon.on(method, path, Reply({"id": "1-007"}))
    assert call(reactor().client).id == "1-007"
    (seen,) = daemon.seen
    assert (seen.method, seen.path, seen.token) == (method, path, TOKEN)
    assert body is None or seen.body == body


def test_lists(reactor: Make, daemon: Stub) -> None:
    for path in ("/jobs/v2", "/apps/v2", "/jobs/v2/1-007/history"):
        daemon.on("GET", path, Reply([{"id": "a"}]))
    client = reactor().client
    assert [client.jobs.list()[0].id, client.apps.list()[0].id, client.jobs.getHistory("1-007")[0].id] == ["a"] * 3


def test_refusals_say_what_the_daemon_says(reactor: Make, daemon: Stub) -> None:
    daemon.on("GET", "/apps/v2/gone", Reply(status=404, message="App not found."))
    daemon.on("GET", "/apps/v2/proxy", Reply(status=502, raw=b"<html>"))
    daemon.on("GET", "/apps/v2/strange", Reply(raw=b"[" * 100_000))
    daemon.on("GET", "/apps/v2/moved", Reply(status=301))
    client = reactor().client
    for app, text in [("gone", "App not found."), ("proxy", "status 502"), ("strange", "envelope"), ("moved", "Done.")]:
        with pytest.raises(DaemonError, match=text):
            client.apps.get(app)


def test_without_a_token_there_is_no_client(reactor: Make, environment: dict[str, str]) -> None:
    with pytest.raises(ReactorError, match="token: true"):
        _ = reactor(_abaco_access_token="").client
    assert Reactor(tapis_optional=True, environment={**environment, "_abaco_access_token": ""}).client is None


def test_a_netrc_of_the_image_does_not_replace_the_token(
    reactor: Make, daemon: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    daemon.on("GET", "/apps/v2/a", Reply({"id": "a"}))
    reactor().client.apps.get("a")
    assert daemon.seen[0].token == TOKEN


# --- agaveutils -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("agave://data/products/v2/a.txt", ("data", "/products/v2", "a.txt")),
        ("agave://data/a", ("data", "/", "a")),
        ("agave://data/a/", ("data", "/a", "")),
        ("agave://data", ("data", "/", "")),
        ("agave://data.tacc.cloud/a b/ä\n", ("data.tacc.cloud", "/a b", "ä\n")),
    ],
)
def test_uris_are_taken_apart(uri: str, parts: tuple[str, str, str]) -> None:
    assert agaveutils.from_agave_uri(uri) == parts


@pytest.mark.parametrize("uri", ["", "http://data/a", "agave:///a", "agave://", "xagave://data/a", "agave://a b/c"])
def test_what_is_no_uri_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="agave://SYSTEM/PATH"):
        agaveutils.from_agave_uri(uri)


def test_paths_upwards_are_refused_if_asked() -> None:
    assert agaveutils.from_agave_uri("agave://data/a/../b")[2] == "b"
    with pytest.raises(ValueError, match="upwards"):
        agaveutils.from_agave_uri("agave://data/a/../b", validate=True)
    with pytest.raises(ValueError, match="upwards"):
        agaveutils.to_agave_uri("data", "/a", "../b", validate=True)


@pytest.mark.parametrize(
    ("parts", "uri"),
    [
        (("data", "/a", "b"), "agave://data/a/b"),
        (("data", "a/", "/b"), "agave://data/a/b"),
        (("data", "/a/"), "agave://data/a"),
        (("data", "/"), "agave://data/"),
    ],
)
def test_uris_are_put_together(parts: Any, uri: str) -> None:
    assert agaveutils.to_agave_uri(*parts) == uri
    with pytest.raises(ValueError, match="storage system"):
        agaveutils.to_agave_uri("a/b", "/c")


def test_errors_are_told_whoever_raised_them(reactor: Make, daemon: Stub) -> None:
    daemon.on("GET", "/apps/v2/gone", Reply(status=404, message="App not found."))
    with pytest.raises(DaemonError) as ours:
        reactor().client.apps.get("gone")
    assert agaveutils.process_agave_httperror(ours.value) == "status 404: App not found."
    answer = requests.get(f"{daemon.url}/apps/v2/gone", timeout=5)
    with pytest.raises(requests.HTTPError) as theirs:
        answer.raise_for_status()
    assert agaveutils.process_agave_httperror(theirs.value) == "GET failed with status 404: App not found."
    assert agaveutils.process_agave_httperror(ValueError("else")) == "else"


def test_files_of_an_agave_client(tmp_path: Path) -> None:
    calls: list[dict[str, Any]] = []
    answer = SimpleNamespace(raise_for_status=lambda: None, iter_content=lambda size: [b"a" * 3, b"b"])
    files = SimpleNamespace(
        manage=lambda **given: calls.append(given),
        importData=lambda **given: calls.append({**given, "fileToUpload": given["fileToUpload"].read()}),
        download=lambda **given: answer,
    )
    client = SimpleNamespace(files=files)
    agaveutils.agave_mkdir(client, "new", "data", "/base")
    target = str(tmp_path / "file")
    assert agaveutils.agave_download_file(client, "/a", "data", target) == target
    agaveutils.agave_upload_file(client, "/up", "data", target)
    assert calls == [
        {"systemId": "data", "filePath": "/base", "body": {"action": "mkdir", "path": "new"}},
        {"systemId": "data", "filePath": "/up", "fileToUpload": b"aaab"},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

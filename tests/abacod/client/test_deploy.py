"""Deploying a directory, with a builder that only notes what it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from abacod.client.building import Project, image_of
from abacod.client.errors import Usage
from tests.abacod.api.serving import Client, Serving
from tests.abacod.client.conftest import Abaco

Builds = Callable[[], list[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory that can be built."""
    directory = tmp_path / "Wörter zählen"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM scratch\n")
    return directory


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    """What the builder, called `docker`, was told so far; it fails for the image `fail`."""
    noted = tmp_path / "builds"
    programs = tmp_path / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >> {noted}\necho building\n[ "$3" != fail ]\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/bin:/usr/bin")
    return lambda: noted.read_text().splitlines() if noted.exists() else []


@pytest.fixture
def images(served: Serving) -> None:
    """What the builder is told to build, the engine has."""
    served.engine.images |= {"w-rter-z-hlen", "lab/x:2", "lab/count", "other"}


@pytest.mark.usefixtures("images")
async def test_a_directory_becomes_an_actor_and_later_a_new_revision_of_it(
    abaco: Abaco, project: Path, builds: Builds
) -> None:
    first = (await abaco("deploy", str(project), "--json")).result
    assert (first["name"], first["image"], first["status"]) == ("Wörter zählen", "w-rter-z-hlen", "READY")
    assert builds() == [f"build -t w-rter-z-hlen {project}"]
    second = (await abaco("deploy", str(project), "-d", "new", "--tag", "lab/x:2", "--push", "--json")).result
    assert (second["id"], second["revision"], second["image"]) == (first["id"], 2, "lab/x:2")
    assert builds()[1:] == [f"build -t lab/x:2 {project}", "push lab/x:2"]
    # Without a file the directory has no say in what is not given.
    third = (await abaco("deploy", str(project), "--json")).result
    assert (third["description"], third["revision"]) == ("new", 3)


@pytest.mark.usefixtures("images")
async def test_the_file_gives_the_properties_and_flags_win(abaco: Abaco, project: Path, builds: Builds) -> None:
    file = project / "actor.toml"
    file.write_text(
        'name = "zähler"\nimage = "lab/count"\nstateless = false\nhints = ["a"]\n[environment]\nN = 5\nB = true\nT = "x"\n'
    )
    made = (await abaco("deploy", str(project), "--hint", "b", "--json")).result
    assert (made["name"], made["image"], made["stateless"], made["hints"]) == ("zähler", "lab/count", False, ["b"])
    assert made["default_environment"] == {"N": "5", "B": "true", "T": "x"}
    file.write_text('name = "zähler"\n')
    again = (await abaco("deploy", str(project), "--image", "other", "--json")).result
    assert (again["id"], again["image"], again["hints"]) == (made["id"], "other", [])
    assert again["default_environment"] == {}
    assert len(builds()) == 1


async def test_an_actor_that_does_not_become_ready_is_told(abaco: Abaco, project: Path) -> None:
    refused = await abaco.fails("deploy", str(project), "--image", "missing")
    assert refused.code == 6
    assert "is ERROR: " in refused.err


async def test_a_build_that_fails_registers_nothing(abaco: Abaco, alice: Client, project: Path, builds: Builds) -> None:
    assert (await abaco.fails("deploy", str(project), "--tag", "fail")).code == 1
    assert len(builds()) == 1
    assert (await alice.get("/v3/actors")).result == []


async def test_a_name_of_several_is_refused_before_the_build(
    abaco: Abaco, alice: Client, project: Path, builds: Builds
) -> None:
    for _ in range(2):
        await alice.register(name="twin")
    assert (await abaco.fails("deploy", str(project), "-n", "twin")).code == 4
    assert builds() == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name = ", "cannot be read"),
        ("colour = 'red'", "no property"),
        ("environment = 1", "a table"),
    ],
)
def test_a_file_with_a_mistake_is_named(project: Path, content: str, problem: str) -> None:
    (project / "actor.toml").write_text(content)
    with pytest.raises(Usage, match=problem) as refused:
        Project.at(project)
    assert "actor.toml" in refused.value.message


def test_what_cannot_be_built(nobody: Abaco, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nobody.now("deploy", "/no/such").code == 2
    assert nobody.now("deploy", str(project), "--image", "a", "--push").code == 2
    with pytest.raises(Usage, match="has no Dockerfile"):
        Project.at(tmp_path).build("x", None, push=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Exception, match="no docker or podman"):
        Project.at(project).build("x", None, push=False)


@pytest.mark.parametrize(
    ("name", "image"), [("word_counter", "word-counter"), ("Ä", "actor"), ("a//b", "a-b"), ("X1", "x1")]
)
def test_an_image_is_called_as_its_actor(name: str, image: str) -> None:
    assert image_of(name) == image

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from abacod.config import EngineSettings
from abacod.ids import ActorId, ExecutionId, TenantId, WorkerId
from abacod.models.actor import Mount
from abacod.runtime.container_spec import (
    container_name,
    create_config,
    is_reference,
    normalised,
    registry,
    with_registry,
)
from abacod.runtime.run import RunSpec

DIGEST = "@sha256:" + "0" * 64


def config(settings: EngineSettings | None = None, **more: Any) -> dict[str, Any]:
    spec = RunSpec(
        **{
            "execution_id": ExecutionId("E"),
            "actor_id": ActorId("A"),
            "worker_id": WorkerId("W"),
            "tenant": TenantId("dev"),
            "image": "python",
            "environment": {},
            **more,
        }
    )
    return create_config(spec, settings or EngineSettings(), instance="I", engine_socket="/host.sock")


def test_name_and_labels_tell_whose_it_is() -> None:
    assert container_name(ExecutionId("E")) == "abacod-E"
    assert config()["Labels"] == {
        "abacod.instance": "I",
        "abacod.execution": "E",
        "abacod.actor": "A",
        "abacod.worker": "W",
        "abacod.tenant": "dev",
    }


def test_the_environment_is_verbatim() -> None:
    variables = {"_abaco_Content-Type": "str", "MSG": "a=b\n'\"", "EMPTY": ""}

    assert config(environment=variables)["Env"] == ["_abaco_Content-Type=str", "MSG=a=b\n'\"", "EMPTY="]


def test_the_image_decides_what_runs() -> None:
    made = config()

    assert made["Image"] == "python:latest"
    assert not {"Cmd", "Entrypoint", "User"} & made.keys()
    assert made["Tty"] is False
    assert made["OpenStdin"] is False
    assert made["HostConfig"]["AutoRemove"] is False


def test_mounts_keep_their_mode(tmp_path: Path) -> None:
    mounts = (Mount("/a", "/in", "ro"), Mount("/b", "/out", "rw"))

    assert config(mounts=mounts, binary_message=tmp_path)["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": "/a", "Target": "/in", "ReadOnly": True},
        {"Type": "bind", "Source": "/b", "Target": "/out", "ReadOnly": False},
        {"Type": "bind", "Source": str(tmp_path), "Target": "/_abaco_binary_data", "ReadOnly": True},
    ]


def test_limits_are_set_and_swap_is_no_way_around_them() -> None:
    host = config(EngineSettings(pids_limit=7), memory_bytes=2**20, nano_cpus=500_000_000, user="1:2")["HostConfig"]

    assert (host["Memory"], host["MemorySwap"]) == (2**20, 2**20)
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == 7
    assert not {"Memory", "MemorySwap", "NanoCpus"} & config()["HostConfig"].keys()


def test_the_log_is_kept_where_it_can_be_read_again() -> None:
    assert config(EngineSettings(log_file_mb=3))["HostConfig"]["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "3m", "max-file": "2"},
    }


def test_privileges_only_for_the_privileged() -> None:
    plain, privileged = config()["HostConfig"], config(privileged=True)["HostConfig"]

    assert plain["SecurityOpt"] == ["no-new-privileges"]
    assert plain["Privileged"] is False
    assert plain["Mounts"] == []
    assert "SecurityOpt" not in privileged
    assert privileged["Privileged"] is True
    assert [(each["Source"], each["Target"]) for each in privileged["Mounts"]] == [
        ("/host.sock", "/var/run/docker.sock")
    ]


def test_a_configured_mount_of_the_socket_is_not_made_twice() -> None:
    mine = Mount("/other.sock", "/var/run/docker.sock", "ro")

    assert len(config(privileged=True, mounts=(mine,))["HostConfig"]["Mounts"]) == 1


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("python", "python:latest"),
        ("python:3.11", "python:3.11"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        (f"python{DIGEST}", f"python{DIGEST}"),
    ],
)
def test_an_image_without_a_tag_is_the_latest(image: str, whole: str) -> None:
    assert normalised(image) == whole


@pytest.mark.parametrize(
    ("image", "host", "spelt_out"),
    [
        ("python", "docker.io", "docker.io/library/python"),
        ("someone/image:1", "docker.io", "docker.io/someone/image:1"),
        ("docker.io/someone/image", "docker.io", "docker.io/someone/image"),
        ("index.docker.io/someone/image", "docker.io", "docker.io/someone/image"),
        ("localhost/image", "localhost", "localhost/image"),
        ("localhost:5000/image", "localhost:5000", "localhost:5000/image"),
        ("registry.example.org/a/b", "registry.example.org", "registry.example.org/a/b"),
    ],
)
def test_the_registry_of_an_image(image: str, host: str, spelt_out: str) -> None:
    assert registry(image) == host
    assert with_registry(image) == spelt_out


@pytest.mark.parametrize(
    "image", ["python", "a/b-c__d.e:1.0_x-y", "localhost:5000/a:b", f"python{DIGEST}", "registry.example.org/a/b"]
)
def test_references(image: str) -> None:
    assert is_reference(image)


@pytest.mark.parametrize("image", ["", "a b", "a/../b", "../a", "a?b=c", "a#b", "/a", "a//b", "-a", "a%2e", "a:", "é"])
def test_what_is_no_reference(image: str) -> None:
    assert not is_reference(image)

"""What is asked of the engine has its effect inside the container."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from abacod.errors import IllegalTransition
from abacod.models.actor import Mount
from abacod.runtime.container_spec import container_name
from tests.docker.conftest import Docker
from tests.docker_images import engine
from tests.fakes import RecordingSink

pytestmark = [pytest.mark.docker, pytest.mark.timeout(30)]


class Inspecting(RecordingSink):
    """Looks at the container that is about to be started, and does not let it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.shown: dict[str, Any] = {}
        self._name = name

    async def starting(self) -> None:
        here = engine()
        with here.client() as client:
            self.shown = await client.containers.container(self._name).show()
        await here.close()
        raise IllegalTransition


async def test_a_mount_to_read_refuses_writes(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "here").write_text("from the host")
    mounts = (Mount(str(tmp_path), "/data", "ro"),)

    outcome, output = await docker.run("exec 2>&1; cat /data/here; echo x > /data/here", mounts=mounts)

    assert outcome.exit_code != 0
    assert output.startswith("from the host")
    assert "Read-only" in output


async def test_a_mount_to_write_takes_them(docker: Docker, tmp_path: Path) -> None:
    outcome, output = await docker.run("echo x > /data/new", mounts=(Mount(str(tmp_path), "/data", "rw"),))

    assert (outcome.exit_code, output) == (0, "")
    assert (tmp_path / "new").read_text() == "x\n"


@pytest.mark.parametrize("network", ["host", "no-such-network", "container:other"])
async def test_networks_without_a_gateway(docker: Docker, network: str) -> None:
    assert await docker.make(network=network).gateway() is None


async def test_user_and_group(docker: Docker) -> None:
    _, output = await docker.run("echo $(id -u):$(id -g)", user="1234:5678")

    assert output == "1234:5678\n"


async def test_a_binary_message_is_a_file_that_any_user_reads_and_that_ends(docker: Docker, tmp_path: Path) -> None:
    message = tmp_path / "message"
    message.write_bytes(os.urandom(200_000))
    message.chmod(0o444)

    outcome, output = await docker.run(
        "cat /_abaco_binary_data | wc -c; (echo x >> /_abaco_binary_data) 2>/dev/null",
        binary_message=message,
        user="1234:5678",
    )

    assert outcome.exit_code != 0
    assert output == "200000\n"
    assert message.stat().st_size == 200_000


async def test_beyond_its_memory_a_container_is_killed(docker: Docker) -> None:
    # The shell doubles a string until it no longer fits; a shell that is process 1 is the one that is killed.
    script = "x=0123456789; while :; do x=$x$x; done"

    outcome, _ = await docker.run(script, memory_bytes=16 * 2**20)

    assert outcome.exit_code == 137
    assert outcome.final_state["OOMKilled"] is True


async def test_a_container_cannot_gain_privileges(docker: Docker) -> None:
    _, output = await docker.run("grep NoNewPrivs /proc/self/status")

    assert output.split() == ["NoNewPrivs:", "1"]


async def test_a_privileged_one_may_use_the_engine(docker: Docker) -> None:
    spec = docker.spec("true", privileged=True)
    sink = Inspecting(container_name(spec.execution_id))

    # Not started: many a virtual machine lacks capabilities that a privileged container must have.
    with pytest.raises(IllegalTransition):
        await docker.runtime.run(spec, sink)

    assert sink.shown["HostConfig"]["Privileged"] is True
    assert not any("no-new-privileges" in option for option in sink.shown["HostConfig"]["SecurityOpt"] or ())
    assert "/var/run/docker.sock" in [mount["Destination"] for mount in sink.shown["Mounts"]]


async def test_the_engine_has_the_limits_and_the_labels(docker: Docker) -> None:
    spec = docker.spec("true", nano_cpus=500_000_000, memory_bytes=32 * 2**20)
    await docker.runtime.run(spec, RecordingSink())

    here = engine()
    with here.client() as client:
        shown = await client.containers.container(container_name(spec.execution_id)).show()
    await here.close()

    host = shown["HostConfig"]
    assert (host["NanoCpus"], host["PidsLimit"]) == (500_000_000, 4096)
    assert (host["Memory"], host["MemorySwap"]) == (32 * 2**20, 32 * 2**20)
    assert shown["Config"]["Labels"] == {
        "abacod.instance": docker.instance,
        "abacod.execution": spec.execution_id,
        "abacod.actor": spec.actor_id,
        "abacod.worker": spec.worker_id,
        "abacod.tenant": "dev",
    }


async def test_too_many_processes_are_refused(docker: Docker) -> None:
    sink = RecordingSink()
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; exit 0"

    await docker.make(pids_limit=5).run(docker.spec(script), sink)

    assert b"fork" in sink.data


async def test_a_busy_moment_costs_cpu_time(docker: Docker) -> None:
    outcome, _ = await docker.run("timeout -s KILL 0.3 sh -c 'while :; do :; done'; exit 0")

    lived = (outcome.finished_at - outcome.started_at).total_seconds()
    assert 0.05e9 < outcome.cpu < (lived + 0.3) * 1e9


async def test_network_traffic_is_counted(docker: Docker) -> None:
    here = engine()
    name = f"abacod-test-{uuid.uuid4().hex[:12]}"
    with here.client() as client:
        network = await client.networks.create({"Name": name, "Driver": "bridge"})
    spec = docker.spec("ping -c 4 $(route -n | awk '/^0.0.0.0/ {print $2}')")
    try:
        outcome = await docker.make(network=name).run(spec, RecordingSink())
        await docker.runtime.discard(spec.execution_id)
    finally:
        await network.delete()
        await here.close()

    assert outcome.io > 0


async def test_other_daemons_containers_are_none_of_ours(docker: Docker) -> None:
    here = engine()
    label = f"abacod-test-{uuid.uuid4().hex[:12]}"
    config: dict[str, Any] = {
        "Image": docker.spec("").image,
        "Labels": {"abacod.instance": label, "abacod.execution": "E"},
    }
    with here.client() as client:
        other = await client.containers.create(config)
        try:
            assert await docker.runtime.found() == []
        finally:
            await other.delete(force=True)
    await here.close()


async def test_ended_containers_can_be_kept(docker: Docker) -> None:
    keeping = docker.make(leave_containers=True)
    spec = docker.spec("true")
    await keeping.run(spec, RecordingSink())

    await keeping.discard(spec.execution_id)
    assert len(await keeping.found()) == 1

    await docker.runtime.discard(spec.execution_id)
    assert await keeping.found() == []

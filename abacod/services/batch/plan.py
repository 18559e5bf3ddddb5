"""What the container of a batch job is given: variables, arguments, its work directory and its limits."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from abacod.config import RunSettings
from abacod.config_batch import LocalBatchSettings
from abacod.ids import ExecutionId
from abacod.models.actor import Mount
from abacod.models.app import AppDescription
from abacod.models.batch_job import BatchJob
from abacod.runtime.run import RunSpec
from abacod.services.batch.definition import file_name, text_of
from abacod.services.batch.description import described
from abacod.services.batch.document import run_time
from abacod.services.batch.work import Work
from abacod.services.mounts import mounts_for
from abacod.store import batch_jobs
from abacod.store.database import Transaction

TEMPLATE_PATH: Final = "/_abaco_app_template"
"""Where a container finds its app's template."""

_MACRO: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is given in place of what its actor has; None leaves that as it is."""

    image: str
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    working_dir: str
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    user: str | None = None
    memory_bytes: int | None = None
    nano_cpus: int | None = None
    time_limit: float | None = None

    def applied(self, spec: RunSpec) -> RunSpec:
        """The run with the plan carried out."""
        return replace(
            spec,
            image=self.image,
            environment={**spec.environment, **self.environment},
            mounts=spec.mounts + self.mounts,
            working_dir=self.working_dir,
            entrypoint=self.entrypoint,
            command=self.command,
            user=self.user,
            memory_bytes=self.memory_bytes or spec.memory_bytes,
            nano_cpus=self.nano_cpus or spec.nano_cpus,
            time_limit=self.limit(spec.time_limit),
        )

    def limit(self, general: float | None) -> float | None:
        """The time limit, in seconds: that of the plan or that of all executions, whichever is shorter."""
        return min((limit for limit in (general, self.time_limit) if limit is not None), default=None)


class Planner(Protocol):
    """Knows what executions of hidden actors are given."""

    def __call__(self, tx: Transaction, execution_id: ExecutionId) -> RunPlan | None:
        """The plan of the execution, None if it is no batch job's."""
        ...


def no_plans(tx: Transaction, execution_id: ExecutionId) -> RunPlan | None:
    """The planner of a daemon without batch jobs."""


def planner(work: Work, settings: LocalBatchSettings, runs: RunSettings) -> Planner:
    """The planner of the engine on this machine. Directories that all containers have are those of the job's owner."""

    def plan_of(tx: Transaction, execution_id: ExecutionId) -> RunPlan | None:
        job = batch_jobs.of_execution(tx, execution_id)
        if job is None:
            return None
        made = plan(job, described(job.app), work, settings)
        tasdir = runs.tasdirs.get(job.owner)
        shared = mounts_for(runs.mounts, tenant=job.tenant, owner=job.owner, tasdir=tasdir)
        return replace(made, mounts=shared + made.mounts)

    return plan_of


def plan(
    job: BatchJob, app: AppDescription, work: Work, settings: LocalBatchSettings, uid: Callable[[], int] = os.getuid
) -> RunPlan:
    """The plan of a job."""
    variables = environment(job, app)
    mounts = [Mount(str(work.files(job.id)), settings.work_path, "rw")]
    entrypoint = _filled(app.entrypoint, variables, app)
    if app.template is not None:
        mounts.append(Mount(str(work.template(job.id)), TEMPLATE_PATH, "ro"))
        # A script that names its interpreter is run by that one.
        entrypoint = (TEMPLATE_PATH,) if app.template.startswith("#!") else ("/bin/sh", TEMPLATE_PATH)
    user = settings.user
    if user is None and uid() != 0:
        user = f"{uid()}:{os.getgid()}"
    return RunPlan(
        image=app.image or "",
        environment=variables,
        mounts=tuple(mounts),
        working_dir=settings.work_path,
        entrypoint=entrypoint,
        command=_filled(app.command, variables, app),
        user=user,
        memory_bytes=app.memory,
        nano_cpus=app.nano_cpus,
        time_limit=job.run_seconds,
    )


def environment(job: BatchJob, app: AppDescription) -> dict[str, str]:
    """The variables that an app sees: its own, inputs as the names of their files, parameters, and those of the job."""
    return {
        **app.environment,
        **{name: " ".join(map(file_name, uris)) for name, uris in job.inputs.items()},
        **{name: text_of(value) for name, value in job.parameters.items()},
        "AGAVE_JOB_ID": job.id,
        "AGAVE_JOB_NAME": job.name,
        "AGAVE_JOB_OWNER": job.owner,
        "AGAVE_JOB_TENANT": job.tenant,
        "AGAVE_JOB_APP_ID": job.app_id,
        "AGAVE_JOB_ARCHIVE": "true" if job.archive else "false",
        "AGAVE_JOB_ARCHIVE_SYSTEM": job.archive.system if job.archive else "",
        "AGAVE_JOB_ARCHIVE_PATH": job.archive.path if job.archive else "",
        "AGAVE_JOB_MAX_RUNTIME": "" if job.run_seconds is None else run_time(job.run_seconds),
    }


def _filled(
    arguments: tuple[str, ...] | None, variables: Mapping[str, str], app: AppDescription
) -> tuple[str, ...] | None:
    """The arguments with `${name}` replaced, each for itself and once: no value is read for further names."""
    if arguments is None:
        return None
    declared = [*(each.id for each in app.inputs), *(each.id for each in app.parameters)]
    known = {**dict.fromkeys(declared, ""), **variables}
    return tuple(_MACRO.sub(lambda match: known.get(match[1], match[0]), argument) for argument in arguments)

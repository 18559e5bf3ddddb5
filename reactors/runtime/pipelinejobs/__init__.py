"""Pipeline jobs, from a program's side: define them, launch them, tell what happens to them."""

from __future__ import annotations

from reactors.runtime.pipelinejobs.errors import JobInvalid, JobUnknown, MachineError, ManagedPipelineJobError
from reactors.runtime.pipelinejobs.instance import ManagedPipelineJobInstance
from reactors.runtime.pipelinejobs.job import ManagedPipelineJob, ReactorManagedPipelineJob
from reactors.runtime.pipelinejobs.known import JobRecord

__all__ = [
    "JobInvalid",
    "JobRecord",
    "JobUnknown",
    "MachineError",
    "ManagedPipelineJob",
    "ManagedPipelineJobError",
    "ManagedPipelineJobInstance",
    "ReactorManagedPipelineJob",
]

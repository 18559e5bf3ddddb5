"""What goes wrong with jobs."""

from __future__ import annotations

from reactors.runtime.errors import ReactorError


class ManagedPipelineJobError(ReactorError):
    """Something could not be done with a job."""


class MachineError(ManagedPipelineJobError):
    """The job takes no such event in the state that it is in."""


class JobInvalid(ManagedPipelineJobError, ValueError):
    """There can be no such job: its pipeline or what it is linked to is unknown, or a parameter is wrong."""


class JobUnknown(ManagedPipelineJobError, ValueError):
    """There is no job with this UUID."""

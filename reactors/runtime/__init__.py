"""The SDK for images that run as actors: `from reactors.runtime import Reactor`.

It is a distribution of its own, of this directory alone, and imports nothing else of the repository. Python 3.8 runs it.
"""

from __future__ import annotations

from reactors.runtime import agaveutils
from reactors.runtime.attributes import AttributeDict
from reactors.runtime.context import get_binary_message, get_context
from reactors.runtime.errors import DaemonError, MessageNotSent, ReactorError, ResultNotSent, SettingsInvalid
from reactors.runtime.pipelinejobs import (
    JobInvalid,
    JobRecord,
    JobUnknown,
    MachineError,
    ManagedPipelineJob,
    ManagedPipelineJobError,
    ManagedPipelineJobInstance,
    ReactorManagedPipelineJob,
)
from reactors.runtime.reactor import Reactor
from reactors.runtime.results import send_result
from reactors.runtime.serve import serve

__all__ = [
    "AttributeDict",
    "DaemonError",
    "JobInvalid",
    "JobRecord",
    "JobUnknown",
    "MachineError",
    "ManagedPipelineJob",
    "ManagedPipelineJobError",
    "ManagedPipelineJobInstance",
    "MessageNotSent",
    "Reactor",
    "ReactorError",
    "ReactorManagedPipelineJob",
    "ResultNotSent",
    "SettingsInvalid",
    "agaveutils",
    "get_binary_message",
    "get_context",
    "send_result",
    "serve",
]

"""The settings of the PipelineJobs system."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from abacod.config_section import Positive, Section

# What the id of a storage system may be: it is a host in `agave://` URIs, and a name of a directory.
_SYSTEM: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class SystemSettings(Section):
    """One storage system."""

    root: Path = Field(
        description="Directory of this machine that holds the system's files; nothing outside it is reached."
    )


class PipelineSettings(Section):
    """The PipelineJobs system: its built-in reactors, and the data catalog."""

    enabled: bool = Field(True, description="Whether the built-in reactors are registered and run.")
    owner: str = Field(
        "abacod",
        min_length=1,
        description="User who owns the built-in reactors and has UPDATE on them; needs no account.",
    )
    execute: tuple[str, ...] = Field(
        ("ABACO_WORLD",),
        description="Users with EXECUTE on the built-in reactors, given at each start; ABACO_WORLD is everybody of a tenant.",
    )
    max_message_bytes: Positive = Field(
        2_000_000,
        description="Largest message to a built-in reactor, in bytes; longer ones take the daemon long to read.",
    )
    handler_seconds: Annotated[float, Field(gt=0)] = Field(
        60, description="Time limit of an execution of a built-in reactor, other than the Indexer, in seconds."
    )
    index_seconds: Annotated[float, Field(gt=0)] = Field(
        21_600, description="Time limit of an execution of the Indexer, in seconds."
    )
    dns_domain: str = Field(
        "sd2e.org",
        min_length=1,
        description="Domain whose namespace UUIDs are made in; published ones are in the default's.",
    )
    default_system: str = Field(
        "data-sd2e-community", pattern=_SYSTEM, description="Storage system of archives where a job names none."
    )
    systems: dict[Annotated[str, Field(pattern=_SYSTEM)], SystemSettings] = Field(
        {},
        description="Storage systems, by id: a table `[pipelines.systems.ID]` each with `root`, an existing directory. The "
        "default system, if it is not among them, is the directory `systems/ID` of the data directory.",
    )

"""Apps: what a batch job runs, as Agave describes it, with an image of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from abacod.ids import TenantId, Username


class ValueType(StrEnum):
    """What a parameter's value is."""

    STRING = "string"
    NUMBER = "number"
    BOOL = "bool"
    FLAG = "flag"
    ENUMERATION = "enumeration"


@dataclass(frozen=True, slots=True)
class AppInput:
    """Files that a job names as `agave://` URIs. `default` is None where there is none."""

    id: str
    required: bool
    default: str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class AppParameter:
    """A value that a job gives. `choices` are those of an enumeration; `validator` is a regular expression."""

    id: str
    type: ValueType
    required: bool
    default: Any
    choices: tuple[str, ...] = ()
    validator: str | None = None


@dataclass(frozen=True, slots=True)
class AppDescription:
    """What an app's description says, read and checked; `document` is the description itself.

    `template` is the text of a shell script; `command` and `entrypoint` are None where the image's own are used. `memory` is
    in bytes, `nano_cpus` in billionths of a CPU, `run_seconds` the time limit of jobs that give none.
    """

    id: str
    document: Mapping[str, Any]
    image: str | None
    template: str | None
    command: tuple[str, ...] | None
    entrypoint: tuple[str, ...] | None
    engine: str | None
    memory: int | None
    nano_cpus: int | None
    run_seconds: int | None
    is_public: bool
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[AppInput, ...] = ()
    parameters: tuple[AppParameter, ...] = ()


@dataclass(frozen=True, slots=True)
class App:
    """A registered app."""

    tenant: TenantId
    id: str
    owner: Username
    document: Mapping[str, Any]
    revision: int
    created: datetime
    modified: datetime

    @property
    def is_public(self) -> bool:
        """Whether everybody of the tenant may run it."""
        return bool(self.document.get("isPublic", True))

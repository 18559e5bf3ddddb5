"""What all sections of the settings have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A frozen group of settings; a name that does not exist is an error, so that a typing slip is seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

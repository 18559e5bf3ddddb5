"""Schemas that others refer to by their file names (spec/pipelinejobs 2); they are never fetched from a network."""

from __future__ import annotations

from typing import Any, Mapping

_HEX = "[0-9a-f]{5}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_EVENTS = "create fail finalize finish index indexed ready reject reset resource retire run update validate validated"
_STATES = "CREATED FAILED FINALIZED FINISHED INDEXING REJECTED RESET RETIRED RUNNING VALIDATED VALIDATING"

SUBSCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "abaco_actorid.json": {"type": "string"},
    "abaco_execid.json": {"type": "string"},
    "agave_files_uri.json": {"type": "string", "pattern": "^agave://"},
    "container_repo.json": {"type": "string"},
    "experiment_reference.json": {"type": "string", "minLength": 1},
    "namespaced_identifier.json": {
        "type": "string",
        "pattern": r"^(name|experiment|sample|measurement|file|reference|product)\.[a-z0-9_]+\..",
    },
    "pipeline_uuid.json": {"type": "string", "pattern": f"^(uri:urn:)?106{_HEX}$"},
    "pipelinejob_eventname.json": {"type": "string", "enum": _EVENTS.split()},
    "pipelinejob_statename.json": {"type": "string", "enum": _STATES.split()},
    "pipelinejob_uuid.json": {"type": "string", "pattern": f"^(uri:urn:)?107{_HEX}$"},
    "processing_level.json": {"type": "string", "enum": ["0", "1", "2", "3", "Reference", "User", "Unknown"]},
    "update_token.json": {"type": "string", "minLength": 16, "maxLength": 17},
}

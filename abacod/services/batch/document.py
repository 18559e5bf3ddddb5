"""Batch jobs and apps as Agave described them: what clients show, and what notifications carry (seeds: Job Life Cycle)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from abacod.clock import isoformat
from abacod.models.app import App
from abacod.models.batch_job import BatchJob

EXECUTION_SYSTEM: Final = "local"
"""What a job on this machine shows as the system that it runs on."""


def job_document(job: BatchJob, base_url: str) -> dict[str, Any]:
    """A job. All that `agave_job_callback` requires is there, as texts and objects (spec/pipelinejobs 2.2)."""
    url = f"{base_url}/jobs/v2/{job.id}"
    archive_system = job.archive.system if job.archive else ""
    archive_path = job.archive.path if job.archive else ""
    rest = job.definition
    return {
        "id": job.id,
        "name": job.name,
        "owner": job.owner,
        "tenantId": job.tenant,
        "appId": job.app_id,
        "executionSystem": EXECUTION_SYSTEM,
        "batchQueue": rest.get("batchQueue"),
        "nodeCount": rest.get("nodeCount", 1),
        "processorsPerNode": rest.get("processorsPerNode", 1),
        "memoryPerNode": rest.get("memoryPerNode"),
        "maxRunTime": None if job.run_seconds is None else run_time(job.run_seconds),
        "archive": job.archive is not None,
        "archiveSystem": archive_system,
        "archivePath": archive_path,
        "outputPath": None,
        "status": job.status,
        "lastStatusMessage": job.error,
        "created": _moment(job.created),
        "lastUpdated": _moment(job.updated),
        "submitTime": _moment(job.submitted),
        "startTime": _moment(job.started),
        "endTime": _moment(job.ended),
        "inputs": {name: uris[0] if len(uris) == 1 else list(uris) for name, uris in job.inputs.items()},
        "parameters": dict(job.parameters),
        "_links": {
            "self": {"href": url},
            "app": {"href": f"{base_url}/apps/v2/{job.app_id}"},
            "history": {"href": f"{url}/history"},
            "logs": {"href": f"{url}/logs"},
            "archiveData": {"href": f"agave://{archive_system}{archive_path}" if job.archive else None},
        },
    }


def app_document(app: App, base_url: str) -> dict[str, Any]:
    """An app: its description as it was given, and what the server knows of it."""
    return {
        "executionType": "CLI",
        "executionSystem": EXECUTION_SYSTEM,
        "parallelism": "SERIAL",
        "inputs": [],
        "parameters": [],
        "outputs": [],
        **app.document,
        "id": app.id,
        "owner": app.owner,
        "revision": app.revision,
        "isPublic": app.is_public,
        "available": True,
        "created": _moment(app.created),
        "lastModified": _moment(app.modified),
        "_links": {"self": {"href": f"{base_url}/apps/v2/{app.id}"}},
    }


def app_line(document: Mapping[str, Any]) -> dict[str, Any]:
    """An app as a list shows it."""
    names = (
        "id",
        "name",
        "version",
        "revision",
        "executionSystem",
        "shortDescription",
        "isPublic",
        "lastModified",
        "_links",
    )
    return {name: document.get(name) for name in names}


def run_time(seconds: int) -> str:
    """Seconds as `HH:MM:SS`."""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _moment(moment: datetime | None) -> str | None:
    """As Agave wrote times, with an offset."""
    return None if moment is None else isoformat(moment).removesuffix("Z") + "+00:00"

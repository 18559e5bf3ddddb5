"""Agave Proxy: launches an app as a pipeline job (seeds: PipelineJobs Agave Proxy; spec/pipelinejobs 7)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from reactors.builtin.messages import decoded
from reactors.pipelinejobs.archive import split_uri
from reactors.pipelinejobs.records import merged
from reactors.pipelinejobs.states import JobState
from reactors.pipelinejobs.validation import SchemaMismatch, check
from reactors.ports import AppUnknown, Exit, Invocation, JobRequest, Launched, LaunchRefused, Ports, Refused, SetUp

_DEFAULT_LEVEL: Final = "1"
_LOCAL: Final = frozenset({"1", "true", "yes", "on"})
"""Values of the parameter LOCALONLY that ask for the definition instead of the launch."""


def handle(call: Invocation, ports: Ports) -> None:
    """Launch the job that the message describes; from then on its state follows by callbacks."""
    began = time.perf_counter()
    message = _read(call)
    definition: Mapping[str, Any] = message["job_definition"]
    app_id = definition["appId"]
    call.info(f"Received request to manage execution of {app_id}")
    _look_up(call, ports, app_id)
    made = _set_up(call, ports, message, _pipeline_of(call, ports, app_id))
    launched_as = _launchable(definition, made)
    if call.parameters.get("LOCALONLY", "").lower() in _LOCAL:
        call.info(json.dumps(launched_as))
        raise call.success("Success")
    launched = _launch(call, ports, launched_as, made, app_id)
    try:
        ports.jobs.handle(made.job.uuid, "run", made.token, {"job_link": launched.link})
    except Refused as error:
        # The costly part is under way, and its own callbacks tell the job so.
        call.warning(f"PipelineJob {made.job.uuid} was launched, but not told so : {error}")
    elapsed = round((time.perf_counter() - began) * 1_000_000)
    raise call.success(f"ManagedPipelineJob {made.job.uuid} is managing Agave job {launched.id} ({elapsed} usec)")


def _read(call: Invocation) -> Mapping[str, Any]:
    try:
        message = decoded(call.message)
    except ValueError as error:
        raise call.failure("Failed to load JSON from message", error) from error
    try:
        check("agave_pipelinejob", message)
    except SchemaMismatch as error:
        raise call.failure("Failed to validate message to schema", error) from error
    found: Mapping[str, Any] = message
    return found


def _look_up(call: Invocation, ports: Ports, app_id: str) -> None:
    try:
        ports.launcher.find(app_id)
    except AppUnknown as error:
        raise call.failure(f"{app_id} is not a known Agave application", error) from error
    except Refused as error:
        raise call.failure("Failed to look up Agave application", error) from error


def _pipeline_of(call: Invocation, ports: Ports, app_id: str) -> str:
    """The UUID of the app's pipeline."""
    text = f"Failed to resolve appId {app_id} to a Pipeline record"
    try:
        pipeline = ports.pipelines.of_app(app_id)
    except Refused as error:
        raise call.failure(text, "No 'pipelines' record found in database") from error
    if not pipeline.visible:
        raise call.failure(text, f"Pipeline {pipeline.uuid} is retired")
    return pipeline.uuid


def _set_up(call: Invocation, ports: Ports, message: Mapping[str, Any], pipeline_uuid: str) -> SetUp:
    """The job, which may be there already if it has not begun yet."""
    text = "Failed to set up ManagedPipelineJob"
    try:
        made = ports.jobs.set_up(_request(call, message, pipeline_uuid))
    except (Refused, ValueError) as error:
        raise call.failure(text, error) from error
    # Its own job may have moved on, if this execution is run a second time after a crash.
    goes_on = made.job.task == call.execution_url and made.job.state is not JobState.FAILED
    if made.job.state is not JobState.CREATED and not goes_on:
        raise call.failure(text, _why_not_again(made))
    return made


def _why_not_again(made: SetUp) -> str:
    job = made.job
    if job.state is JobState.RUNNING:
        return f"PipelineJob {job.uuid} of the same pipeline, linkage and data is already running"
    return (
        f"PipelineJob {job.uuid} of the same pipeline, linkage and data is {job.state} already; reset it with an "
        "administrative token to run it again, or change `data`"
    )


def _request(call: Invocation, message: Mapping[str, Any], pipeline_uuid: str) -> JobRequest:
    level = message.get("processing_level", message.get("level", _DEFAULT_LEVEL))
    system, path = split_uri(message["archive_path"]) if "archive_path" in message else (None, None)
    linkage = {key: [ids] if isinstance(ids, str) else ids for key, ids in message["parameters"].items()}
    return JobRequest(
        pipeline_uuid=pipeline_uuid,
        data=merged(message["job_definition"], message.get("data", {})),
        linkage=linkage,
        archive_system=system,
        archive_path=path,
        archive_patterns=[{"level": level, "patterns": message.get("index_patterns", [])}],
        instanced=message.get("instanced", True),
        session=call.nickname,
        agent=call.actor_url,
        task=call.execution_url,
    )


def _launchable(definition: Mapping[str, Any], made: SetUp) -> dict[str, Any]:
    """The job definition with where its outputs go, and whom its statuses are told."""
    told = {"event": "*", "persistent": True, "url": f"{made.callback}&status=${{STATUS}}&note=${{JOB_ERROR}}"}
    return {
        **definition,
        "archive": True,
        "archiveSystem": made.job.archive_system,
        "archivePath": made.job.archive_path,
        "notifications": [*definition.get("notifications", []), told],
    }


def _launch(call: Invocation, ports: Ports, definition: Mapping[str, Any], made: SetUp, app_id: str) -> Launched:
    uuid = made.job.uuid
    try:
        # Launched once for each time the job was made ready, whoever asks, and however often.
        return ports.launcher.submit(definition, key=f"{uuid}:{made.generation}")
    except LaunchRefused as error:
        raise _failed(call, ports, made, error, f"PipelineJob {uuid} failed because Encountered API error") from error
    except Refused as error:
        text = f"PipelineJob {uuid} failed because Failed to launch {app_id}"
        raise _failed(call, ports, made, error, text) from error


def _failed(call: Invocation, ports: Ports, made: SetUp, error: Exception, text: str) -> Exit:
    """Note on the job that it was not launched, and end."""
    try:
        ports.jobs.handle(made.job.uuid, "fail", made.token, {"message": str(error)})
    except Refused as refused:
        call.warning(f"PipelineJob {made.job.uuid} was not told so : {refused}")
    return call.failure(text, error)

"""Jobs that a program defines, runs and tells about (spec/pipelinejobs 8.1, 8.2)."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any, Mapping, Sequence

from reactors.runtime.daemon import Daemon
from reactors.runtime.names import nickname
from reactors.runtime.pipelinejobs.canonical import Canonical
from reactors.runtime.pipelinejobs.configuration import configured
from reactors.runtime.pipelinejobs.errors import JobInvalid, MachineError, ManagedPipelineJobError
from reactors.runtime.pipelinejobs.known import JobRecord, KnownJob
from reactors.runtime.pipelinejobs.service import JobsService
from reactors.runtime.reactor import Reactor
from reactors.runtime.settings import merged

_LINKAGE = ("experiment_design_id", "experiment_id", "sample_id", "measurement_id")
_ACTOR_ID, _EXECUTION_ID = "_abaco_actor_id", "_abaco_execution_id"
_SHORTEST_SESSION = 4
DEFAULT_LEVEL = "1"


class ManagedPipelineJob(KnownJob):
    """A job of a pipeline, as the daemon keeps it.

    What the arguments describe can be read at once; the job is there after `setup`. `pipelines` is the stanza of the
    settings. `mongodb` and `agave` mean nothing any more. All events return a `JobRecord`.

    Raises:
        JobInvalid: a ValueError: no or an unknown pipeline, unknown ids, a parameter that cannot be.
        ManagedPipelineJobError: the daemon does not answer, or refuses the reactor.
    """

    def __init__(
        self,
        mongodb: Any = None,
        pipelines: Mapping[str, Any] | None = None,
        instanced: bool = False,
        agave: Any = None,
        *,
        pipeline_uuid: str | None = None,
        experiment_design_id: str | Sequence[str] | None = None,
        experiment_id: str | Sequence[str] | None = None,
        sample_id: str | Sequence[str] | None = None,
        measurement_id: str | Sequence[str] | None = None,
        data: Mapping[str, Any] | None = None,
        inputs: Sequence[str] | None = None,
        archive_path: str | None = None,
        archive_system: str | None = None,
        archive_patterns: Sequence[Any] | None = None,
        archive_path_patterns: Sequence[Any] | None = None,
        product_patterns: Sequence[Any] | None = None,
        setup_archive_path: bool = True,
        session: str | None = None,
        agent: str | None = None,
        task: str | None = None,
        daemon: Daemon | None = None,
    ) -> None:
        configuration = configured(pipelines, daemon)
        self._canonical = Canonical(configuration.api_server)
        pipeline = pipeline_uuid or configuration.pipeline_uuid
        if not pipeline:
            raise JobInvalid('Parameter "pipeline_uuid" is required')
        agent = os.environ.get(_ACTOR_ID) if agent is None else agent
        task = os.environ.get(_EXECUTION_ID) if task is None else task
        if configuration.names_server:
            agent, task = self._canonical.agent(agent or ""), self._canonical.task(agent or "", task or "")
        linkage = dict(zip(_LINKAGE, (experiment_design_id, experiment_id, sample_id, measurement_id)))
        wanted: dict[str, Any] = {
            "pipeline_uuid": pipeline,
            "data": dict(data or {}),
            "inputs": list(inputs or ()),
            "archive_system": archive_system,
            "archive_path": archive_path,
            "archive_patterns": _requests(archive_patterns or archive_path_patterns or ()),
            "product_patterns": list(product_patterns or ()),
            "instanced": instanced or None,
            "session": session or nickname(),
            "agent": agent or None,
            "task": task or None,
            "setup_archive_path": None if setup_archive_path else False,
        }
        # An empty list of ids stays, for the daemon to refuse: the job would be linked to nothing.
        self._request = {key: value for key, value in wanted.items() if value is not None and value != []}
        self._request.update((key, value) for key, value in linkage.items() if value is not None)
        preview = JobsService(configuration).preview(self._request)
        self.callback = ""
        self._is_set_up = False
        super().__init__(configuration, preview.job)

    # --- beginning --------------------------------------------------------------------------------------------------

    def setup(self, data: Mapping[str, Any] | None = None) -> ManagedPipelineJob:
        """Make the job, or find it if it is there: one pipeline, linkage and data are one job.

        `data` is merged over that of the constructor. The job has the archive path that could be read before.

        Raises:
            JobInvalid: as in the constructor.
        """
        request = {key: value for key, value in self._request.items() if key != "instanced"}
        request.update(archive_path=self.archive_path, archive_system=self.archive_system)
        if data:
            request["setup_data"] = dict(data)
        answer = self._service.create(request)
        self._took(answer)
        self.callback = answer.callback
        self._is_set_up = True
        return self

    def load(self, job_uuid: str | None = None, token: str | None = None) -> ManagedPipelineJob:
        """Take over a job that is there, by default the one that this describes; `token` allows events.

        Raises:
            JobUnknown: a ValueError: there is none.
        """
        self._take(self._service.get(job_uuid or self.uuid))
        self.token = token or self.token
        self.callback = ""
        self._is_set_up = True
        return self

    def attach(self, token: str | None = None) -> ManagedPipelineJob:
        """`load` of the job that this describes."""
        return self.load(token=token)

    @property
    def cancelable(self) -> bool:
        """Whether nothing has happened to the job since it was made."""
        history = self.job.get("history")
        return self._is_set_up and self.last_event == "create" and (not history or len(history) == 1)

    # --- events -----------------------------------------------------------------------------------------------------

    def handle(self, event_name: str, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """Bring an event to the job, which is set up first if it is not yet.

        Events without a method of their own are `validate`, `validated`, `reject`, `finalize` and `retire`. `reset`,
        `ready`, `delete` and `purge` need an administrative token.

        Raises:
            MachineError: a ManagedPipelineJobError: the job takes no such event in its state.
            ManagedPipelineJobError: the token is not the job's.
        """
        if not self._is_set_up:
            self.setup()
        name = event_name.lower()
        if name == "reset":
            return self.reset(data, token=token)
        if name in ("delete", "purge"):
            return self.delete(token)
        self._send(name, data, token)
        return JobRecord(self)

    def run(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """The job is computing."""
        return self.handle("run", data, token)

    def update(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """Something worth noting, which leaves the state as it is."""
        return self.handle("update", data, token)

    def resource(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """Something about what the job runs on, which leaves the state as it is."""
        return self.handle("resource", data, token)

    def fail(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """The job will not complete."""
        return self.handle("fail", data, token)

    def finish(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """The job has computed and its products are in place; the daemon then indexes them."""
        return self.handle("finish", data, token)

    def index(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """Indexing has begun."""
        return self.handle("index", data, token)

    def indexed(self, data: Mapping[str, Any] | None = None, token: str | None = None) -> JobRecord:
        """Indexing has ended."""
        return self.handle("indexed", data, token)

    def ready(self, token: str | None = None) -> JobRecord:
        """Make a job in RESET CREATED again; `token` is administrative."""
        return self.handle("ready", None, token)

    def reset(
        self,
        data: Mapping[str, Any] | None = None,
        no_clear_path: bool = False,
        token: str | None = None,
        permissive: bool = False,
    ) -> JobRecord:
        """Empty the archive path unless `no_clear_path`, and make the job CREATED again; `token` is administrative.

        With `permissive` a refusal leaves the job as it is, and its record is returned.
        """
        try:
            self._took(self._service.reset(self.uuid, data, self._allowing(token), no_clear_path))
        except ManagedPipelineJobError:
            if not permissive:
                raise
        return JobRecord(self)

    def cancel(self, token: str | None = None) -> JobRecord:
        """Delete the job, to which nothing must have happened yet; the last record is returned.

        Raises:
            MachineError: something has; send `fail`.
        """
        self._service.cancel(self.uuid, self._allowing(token))
        self._is_set_up = False
        return JobRecord(self)

    def delete(self, token: str | None = None) -> JobRecord:
        """Delete the job and leave its files; `token` is administrative. The last record is returned."""
        self._service.delete(self.uuid, self._allowing(token))
        self._is_set_up = False
        return JobRecord(self)

    # --- batch jobs -------------------------------------------------------------------------------------------------

    def launch(self, definition: Mapping[str, Any]) -> str:
        """Submit a batch job of an app that archives to this job's path and notifies it; returns its id.

        Then the event `run` is sent, if the batch job's own notification was not faster. A submission that is refused
        is a `fail` of the job.

        Raises:
            MachineError: the job has been run before; a second run would write over the products of the first.
            ManagedPipelineJobError: the submission was refused.
        """
        if not self._is_set_up:
            self.setup()
        if self.state != "CREATED":
            raise MachineError(f"PipelineJob {self.uuid} is {self.state}: reset it, or change its data")
        wanted = {
            **definition,
            "archive": True,
            "archiveSystem": self.archive_system,
            "archivePath": self.archive_path,
            "notifications": [*definition.get("notifications", ()), *self.agave_notifications()],
        }
        try:
            job_id = self._service.launch(wanted)
        except ManagedPipelineJobError as error:
            self.fail({"message": str(error)})
            raise ManagedPipelineJobError(f"PipelineJob {self.uuid} failed because {error}") from error
        try:
            self.run({"job_link": self.canonicalize_job(job_id)})
        except MachineError:
            # The batch job has begun, or even ended, in the meantime, and has said so itself.
            self._take(self._service.get(self.uuid))
        return job_id

    def build_webhook(self) -> str:
        """The URL that takes the job's events: it holds the job's token, and a nonce.

        Raises:
            ManagedPipelineJobError: the job is not set up, or no URL can be made of the settings.
        """
        if self.callback:
            return self.callback
        nonce = self.config.manager_nonce
        if not (self._is_set_up and self.token and nonce):
            raise ManagedPipelineJobError("there is no callback before setup(), or without job_manager_nonce")
        messages = f"{self._canonical.actor(self.config.manager)}/messages"
        return f"{messages}?x-nonce={nonce}&token={self.token}&uuid={self.uuid}"

    def agave_notifications(self) -> list[dict[str, Any]]:
        """What a batch job's definition needs under `notifications` to bring its events to this job."""
        url = self.build_webhook()
        return [
            {"event": "RUNNING", "persistent": True, "url": f"{url}&status=${{JOB_STATUS}}"},
            {"event": "FINISHED", "persistent": False, "url": f"{url}&status=FINISHED"},
            {"event": "FAILED", "persistent": False, "url": f"{url}&status=${{JOB_STATUS}}"},
        ]

    # --- names ------------------------------------------------------------------------------------------------------

    def canonicalize_actor(self, actor_id: str) -> str:
        """The URL of an actor."""
        return self._canonical.actor(actor_id)

    def canonicalize_app(self, app_id: str) -> str:
        """The URL of an app."""
        return self._canonical.app(app_id)

    def canonicalize_system(self, system_id: str) -> str:
        """The URL of a system."""
        return self._canonical.system(system_id)

    def canonicalize_job(self, job_id: str) -> str:
        """The URL of a batch job."""
        return self._canonical.job(job_id)

    def canonicalize_execution(self, actor_id: str, execution_id: str) -> str:
        """The URL of an execution."""
        return self._canonical.execution(actor_id, execution_id)

    def instanced_directory(self, session: str | None = None) -> str:
        """A directory's name for now: `adjective-animal-YYYYMMDDTHHmmssZ`. A session of under four characters is replaced."""
        name = self.session if session is None else session
        name = name if len(name) >= _SHORTEST_SESSION else nickname()
        return f"{name.rstrip('-')}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"


class ReactorManagedPipelineJob(ManagedPipelineJob):
    """A job that a reactor manages: settings, session, agent and task are the reactor's, if no others are given."""

    def __init__(self, reactor: Reactor, data: Mapping[str, Any] | None = None, **given: Any) -> None:
        own = {"session": reactor.nickname, "agent": reactor.uid, "task": reactor.execid, "daemon": reactor.daemon}
        pipelines = reactor.settings.get("pipelines")
        super().__init__(reactor.settings.get("mongodb"), pipelines, data=data, **merged(own, given))


def _requests(patterns: Sequence[Any]) -> list[Any]:
    """Index requests; plain patterns, as they once were given, become one of level 1."""
    plain = [pattern for pattern in patterns if isinstance(pattern, str)]
    request = [{"level": DEFAULT_LEVEL, "patterns": plain}] if plain else []
    return [*request, *(pattern for pattern in patterns if not isinstance(pattern, str))]

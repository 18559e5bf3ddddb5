"""The built-in reactors, with the ports through which each reaches the daemon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from abacod.clock import Clock
from abacod.config import Settings
from abacod.ids import Username
from abacod.models.builtin import INDEXER
from abacod.queue.mailboxes import Mailboxes
from abacod.runtime.native import NativeRuntime, Work
from abacod.runtime.run import Runtime
from abacod.services.batch.engine import BatchEngine
from abacod.services.pipelinejobs.callbacks import Callbacks
from abacod.services.pipelinejobs.document_tokens import DocumentTokens
from abacod.services.pipelinejobs.file_ports import CatalogPort, FilesPort
from abacod.services.pipelinejobs.file_records import FileRecords
from abacod.services.pipelinejobs.job_ports import JobsPort, MessengerPort
from abacod.services.pipelinejobs.job_setup import JobSetup
from abacod.services.pipelinejobs.jobs import Jobs
from abacod.services.pipelinejobs.launcher_port import LauncherPort
from abacod.services.pipelinejobs.messenger import Messenger
from abacod.services.pipelinejobs.pipelines import Pipelines
from abacod.services.pipelinejobs.ports import Asking, PipelinesPort
from abacod.services.pipelinejobs.reactor_runs import ReactorRuns
from abacod.services.sealing import Seal
from abacod.services.storage.systems import Systems
from abacod.store.database import Database
from reactors.builtin import HANDLERS
from reactors.pipelinejobs.identifiers import Identifiers
from reactors.pipelinejobs.sessions import session
from reactors.ports import Ports


@dataclass(frozen=True, slots=True)
class PipelineJobs:
    """The use-cases of the PipelineJobs system."""

    pipelines: Pipelines
    jobs: Jobs
    setup: JobSetup
    messenger: Messenger
    file_records: FileRecords
    systems: Systems
    tokens: DocumentTokens


def make_pipeline_jobs(
    settings: Settings, clock: Clock, database: Database, seal: Seal, mailboxes: Mailboxes
) -> PipelineJobs:
    """The use-cases of the PipelineJobs system."""
    given = settings.pipelines
    identifiers = Identifiers(given.dns_domain, given.default_system)
    tokens = DocumentTokens(seal, clock)
    systems = Systems(settings.system_roots)
    callbacks = Callbacks(seal, clock, owner=Username(given.owner), public_url=settings.public_url)
    return PipelineJobs(
        pipelines=Pipelines(database, tokens, identifiers, clock),
        jobs=Jobs(database, mailboxes, tokens, identifiers, systems, clock),
        setup=JobSetup(database, tokens, identifiers, systems, callbacks, clock, public_url=settings.public_url),
        messenger=Messenger(database, mailboxes, clock),
        file_records=FileRecords(database, identifiers, clock),
        systems=systems,
        tokens=tokens,
    )


def make_runtime(
    settings: Settings,
    clock: Clock,
    database: Database,
    containers: Runtime,
    system: PipelineJobs,
    *,
    batch: Callable[[], BatchEngine],
) -> NativeRuntime:
    """A runtime that runs built-in reactors itself, and all else in `containers`.

    `batch` is asked for when a reactor runs: batch jobs run in containers, and those who run them need this runtime.
    """

    def ports(asking: Asking) -> Ports:
        return Ports(
            pipelines=PipelinesPort(asking, system.pipelines),
            jobs=JobsPort(asking, system.jobs, system.setup),
            messenger=MessengerPort(asking, system.messenger),
            files=FilesPort(asking, system.systems),
            catalog=CatalogPort(asking, system.file_records),
            launcher=LauncherPort(asking, batch()),
        )

    times = settings.pipelines
    runs = ReactorRuns(
        database,
        ports,
        public_url=settings.public_url,
        nickname=session,
        max_message_bytes=times.max_message_bytes,
    )
    works = {
        name: Work(partial(runs.run, handler), times.index_seconds if name == INDEXER else times.handler_seconds)
        for name, handler in HANDLERS.items()
        if times.enabled
    }
    return NativeRuntime(containers, works, clock)

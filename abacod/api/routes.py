"""Every address, who may use it, and the handler that serves it."""

from __future__ import annotations

from dataclasses import dataclass

from abacod.api.actors import ActorsApi, ActorsFound, ActorShown, ActorsListed, Registration, StateShown
from abacod.api.admin import AdminApi, AdminExecutions, AdminWorkers, BusyActorShown, UtilizationShown
from abacod.api.aliases import AliasesApi, AliasShown, AliasUpdate, NewAlias
from abacod.api.apps import AppLine, AppsApi, AppShown
from abacod.api.batch_jobs import BatchHistoryLine, BatchJobLog, BatchJobPage, BatchJobsApi, BatchJobShown
from abacod.api.calls import ANY_JSON, OCTETS, Need, Route
from abacod.api.catalog import RECORDS, CatalogApi, CatalogQuery, RecordListed, RecordShown, Tally
from abacod.api.configs import ConfigFields, ConfigsApi, ConfigShown
from abacod.api.description import DOCUMENT, PAGE, DescriptionApi
from abacod.api.executions import ExecutionsApi, ExecutionsFound, ExecutionShown, ExecutionsListed, LogsFound, LogShown
from abacod.api.files import FileQuery, FilesApi, FileShown
from abacod.api.health import Alive, HealthApi, Ready
from abacod.api.identity import (
    BARE_TOKENS,
    IdentityApi,
    Login,
    NewTokens,
    Profile,
    ProfileV2,
    SiteShown,
    TenantShown,
)
from abacod.api.jobs import (
    HistoryQuery,
    JobChanged,
    JobEventFields,
    JobEventShown,
    JobListed,
    JobPreview,
    JobQuery,
    JobsApi,
    JobSetUp,
    JobShown,
    NewJob,
    ResetFields,
    TokenFields,
)
from abacod.api.json_schemas import SCHEMA, JsonSchemasApi, SchemaShown
from abacod.api.logs import STREAM, LogQuery, LogsApi
from abacod.api.messages import LOG, MESSAGE, MailboxPurged, MailboxShown, MessagesApi, MessageSent
from abacod.api.metrics import EXPOSITION, MetricsApi
from abacod.api.nonces import AliasNonceShown, NewNonce, NoncesApi, NonceShown
from abacod.api.permissions import Grant, Levels, PermissionsApi
from abacod.api.pipelines import PipelineQuery, PipelinesApi, PipelineShown
from abacod.api.search import SearchApi, SearchParameters
from abacod.api.workers import WorkersApi, WorkersFound, WorkerShown, WorkersListed, WorkersWanted


@dataclass(frozen=True, slots=True)
class Handlers:
    """All handlers."""

    actors: ActorsApi
    messages: MessagesApi
    executions: ExecutionsApi
    logs: LogsApi
    permissions: PermissionsApi
    aliases: AliasesApi
    nonces: NoncesApi
    workers: WorkersApi
    admin: AdminApi
    search: SearchApi
    configs: ConfigsApi
    identity: IdentityApi
    health: HealthApi
    description: DescriptionApi
    metrics: MetricsApi
    schemas: JsonSchemasApi
    pipelines: PipelinesApi
    files: FilesApi
    catalog: CatalogApi
    jobs: JobsApi
    apps: AppsApi
    batch_jobs: BatchJobsApi


def actor_routes(on: Handlers) -> list[Route]:
    """The actors API, relative to each of its prefixes (spec/actors-api 1.7)."""
    return [
        *_actors(on),
        *_messages(on),
        *_executions(on),
        *_workers(on),
        *_aliases(on),
        *_permissions(on),
        *_nonces(on),
        *_configs(on),
        *_searches(on),
        *_overviews(on),
    ]


def other_routes(on: Handlers) -> list[Route]:
    """Everything outside the actors API."""
    return [*_daemon(on), *_identity(on), *_pipelinejobs(on), *_catalog(on), *_jobs(on), *_batch(on)]


def _actors(on: Handlers) -> list[Route]:
    user, read, update = Need.USER, Need.READ, Need.UPDATE
    return [
        Route("GET", "/", on.actors.list_all, user, takes=SearchParameters, gives=ActorsListed),
        Route("POST", "/", on.actors.create, user, takes=Registration, gives=ActorShown, status=201),
        Route("GET", "/{actor}", on.actors.show, read, gives=ActorShown),
        Route("PUT", "/{actor}", on.actors.update, update, takes=Registration, gives=ActorShown),
        Route("DELETE", "/{actor}", on.actors.delete, update, gives=None),
        Route("GET", "/{actor}/state", on.actors.state, read, gives=StateShown),
        Route("POST", "/{actor}/state", on.actors.set_state, update, takes=ANY_JSON, gives=ActorShown),
    ]


def _messages(on: Handlers) -> list[Route]:
    read, execute, update = Need.READ, Need.EXECUTE, Need.UPDATE
    path, answers = "/{actor}/messages", (MessageSent, OCTETS, LOG)
    return [
        Route("GET", path, on.messages.count, read, gives=MailboxShown, as_is=True),
        Route("POST", path, on.messages.send, execute, takes=MESSAGE, gives=answers, fails=(504,), as_is=True),
        Route("DELETE", path, on.messages.purge, update, gives=MailboxPurged, as_is=True),
    ]


def _executions(on: Handlers) -> list[Route]:
    every, one = "/{actor}/executions", "/{actor}/executions/{execution}"
    read, update, log = Need.READ, Need.UPDATE, (LogShown | LogsFound, STREAM)
    return [
        Route("GET", every, on.executions.list_all, read, takes=SearchParameters, gives=ExecutionsListed),
        Route("GET", one, on.executions.show, read, gives=ExecutionShown),
        Route("DELETE", one, on.executions.halt, update, gives=None),
        Route("GET", f"{one}/logs", on.logs.show, read, takes=LogQuery, gives=log),
        Route("GET", f"{one}/results", on.executions.result, read, gives=OCTETS),
        Route("POST", f"{one}/results", on.executions.posted_result, read, gives=OCTETS),
    ]


def _workers(on: Handlers) -> list[Route]:
    read, update, admin = Need.READ, Need.UPDATE, Need.ADMIN_AND_UPDATE
    return [
        Route("GET", "/{actor}/workers", on.workers.list_all, read, takes=SearchParameters, gives=WorkersListed),
        Route("POST", "/{actor}/workers", on.workers.ensure, admin, takes=WorkersWanted, gives=None),
        Route("GET", "/{actor}/workers/{worker}", on.workers.show, read, gives=WorkerShown),
        Route("DELETE", "/{actor}/workers/{worker}", on.workers.stop, update, gives=None),
    ]


def _aliases(on: Handlers) -> list[Route]:
    user, read, update = Need.USER, Need.ALIAS_READ, Need.ALIAS_UPDATE
    return [
        Route("GET", "/aliases", on.aliases.list_all, user, gives=list[AliasShown]),
        Route("POST", "/aliases", on.aliases.create, user, takes=NewAlias, gives=AliasShown, status=201, fails=(404,)),
        Route("GET", "/aliases/{alias}", on.aliases.show, read, gives=AliasShown),
        Route("PUT", "/aliases/{alias}", on.aliases.update, update, takes=AliasUpdate, gives=AliasShown),
        Route("DELETE", "/aliases/{alias}", on.aliases.delete, update, gives=None),
    ]


def _permissions(on: Handlers) -> list[Route]:
    """Of actors, aliases and configs."""
    actor, alias, config = "/{actor}/permissions", "/aliases/{alias}/permissions", "/configs/{config}/permissions"
    api = on.permissions
    return [
        Route("GET", actor, api.list_all, Need.READ, gives=Levels, as_is=True),
        Route("POST", actor, api.grant, Need.UPDATE, takes=Grant, gives=Levels, as_is=True),
        Route("GET", alias, api.list_of_alias, Need.ALIAS_READ, gives=Levels, as_is=True),
        Route("POST", alias, api.grant_on_alias, Need.ALIAS_UPDATE, takes=Grant, gives=Levels, as_is=True),
        Route("GET", config, api.list_of_config, Need.CONFIG_READ, gives=Levels, as_is=True),
        Route("POST", config, api.grant_on_config, Need.CONFIG_UPDATE, takes=Grant, gives=Levels, as_is=True),
    ]


def _nonces(on: Handlers) -> list[Route]:
    """Of actors and of aliases. Who can read one can use it, hence the level."""
    update, both, alias = Need.UPDATE, Need.ALIAS_AND_ACTOR_UPDATE, "/aliases/{alias}/nonces"
    return [
        Route("GET", "/{actor}/nonces", on.nonces.list_all, update, gives=list[NonceShown]),
        Route("POST", "/{actor}/nonces", on.nonces.create, update, takes=NewNonce, gives=NonceShown, status=201),
        Route("GET", "/{actor}/nonces/{nonce}", on.nonces.show, update, gives=NonceShown),
        Route("DELETE", "/{actor}/nonces/{nonce}", on.nonces.delete, update, gives=None),
        Route("GET", alias, on.nonces.list_of_alias, both, gives=list[AliasNonceShown]),
        Route("POST", alias, on.nonces.create_for_alias, both, takes=NewNonce, gives=AliasNonceShown, status=201),
        Route("GET", f"{alias}/{{nonce}}", on.nonces.show_of_alias, both, gives=AliasNonceShown),
        Route("DELETE", f"{alias}/{{nonce}}", on.nonces.delete_of_alias, both, gives=None),
    ]


def _configs(on: Handlers) -> list[Route]:
    user, read, update = Need.USER, Need.CONFIG_READ, Need.CONFIG_UPDATE
    return [
        Route("GET", "/configs", on.configs.list_all, user, gives=list[ConfigShown]),
        Route("POST", "/configs", on.configs.create, user, takes=ConfigFields, gives=ConfigShown, fails=(403, 404)),
        Route("GET", "/configs/{config}", on.configs.show, read, gives=ConfigShown),
        Route("PUT", "/configs/{config}", on.configs.update, update, takes=ConfigFields, gives=ConfigShown),
        Route("DELETE", "/configs/{config}", on.configs.delete, update, gives=None),
    ]


def _searches(on: Handlers) -> list[Route]:
    user, asks, every = Need.USER, SearchParameters, ActorsFound | WorkersFound | ExecutionsFound | LogsFound
    printed = "/search/{database}/{actor}/executions"
    return [
        Route("GET", "/search/{database}", on.search.search, user, takes=asks, gives=every),
        Route("GET", printed, on.search.search_executions, user, takes=asks, gives=ExecutionsFound, fails=(403, 404)),
    ]


def _overviews(on: Handlers) -> list[Route]:
    return [
        Route("GET", "/utilization", on.admin.utilization, Need.USER, gives=UtilizationShown, as_is=True),
        Route("GET", "/admin", on.admin.all_actors, Need.ADMIN, gives=list[BusyActorShown]),
        Route("GET", "/admin/workers", on.admin.all_workers, Need.ADMIN, gives=AdminWorkers),
        Route("GET", "/admin/executions", on.admin.all_executions, Need.ADMIN, gives=AdminExecutions),
    ]


def _daemon(on: Handlers) -> list[Route]:
    nobody = Need.NOTHING
    return [
        Route("GET", "/healthz", on.health.alive, nobody, gives=Alive),
        Route("GET", "/readyz", on.health.ready, nobody, gives=Ready),
        Route("GET", "/metrics", on.metrics.scrape, nobody, gives=EXPOSITION),
        Route("GET", "/openapi.json", on.description.document, nobody, gives=DOCUMENT),
        Route("GET", "/docs", on.description.page, nobody, gives=PAGE),
        Route("GET", "/schemas", on.schemas.list_all, nobody, gives=list[SchemaShown]),
        Route("GET", "/schemas/{schema}", on.schemas.show, nobody, gives=SCHEMA),
    ]


def _catalog(on: Handlers) -> list[Route]:
    read, one = Need.FILES_READ, "/v3/catalog/records/{record}"
    loaded = dict[str, Tally]
    return [
        Route("POST", "/v3/catalog", on.catalog.load, Need.ADMIN, takes=RECORDS, gives=loaded, as_is=True),
        Route("GET", one, on.catalog.show, read, gives=RecordShown, as_is=True),
        Route(
            "GET",
            "/v3/catalog/{kind}",
            on.catalog.list_all,
            read,
            takes=CatalogQuery,
            gives=list[RecordListed],
            as_is=True,
        ),
    ]


def _identity(on: Handlers) -> list[Route]:
    """Sites, tenants, tokens and profiles, as tapipy and then as agavepy ask for them."""
    nobody, user = Need.NOTHING, Need.USER
    return [
        Route("GET", "/v3/sites", on.identity.sites, nobody, gives=list[SiteShown]),
        Route("GET", "/v3/tenants", on.identity.tenants, nobody, gives=list[TenantShown]),
        Route("GET", "/v3/tenants/{tenant}", on.identity.tenant, nobody, gives=TenantShown),
        Route("POST", "/v3/oauth2/tokens", on.identity.create, nobody, takes=Login, gives=NewTokens, fails=(401,)),
        Route("GET", "/v3/oauth2/userinfo", on.identity.userinfo, user, gives=Profile, fails=(404,)),
        Route("GET", "/v3/oauth2/profiles", on.identity.profiles, user, gives=list[Profile]),
        Route("GET", "/v3/oauth2/profiles/{username}", on.identity.profile, user, gives=Profile),
        Route("POST", "/token", on.identity.create_bare, nobody, takes=Login, gives=BARE_TOKENS, fails=(401,)),
        Route("GET", "/profiles/v2", on.identity.profiles_v2, user, gives=list[ProfileV2], as_is=True),
        Route("GET", "/profiles/v2/{username}", on.identity.profile_v2, user, gives=ProfileV2, as_is=True),
    ]


def _pipelinejobs(on: Handlers) -> list[Route]:
    """What the built-in reactors keep; names in it are those of its authors."""
    every, one, read = "/v3/pipelines", "/v3/pipelines/{pipeline}", Need.PIPELINES_READ
    files = Need.FILES_READ
    return [
        Route("GET", every, on.pipelines.list_all, read, takes=PipelineQuery, gives=list[PipelineShown], fails=(404,)),
        Route("GET", one, on.pipelines.show, read, gives=PipelineShown),
        Route("GET", "/v3/files", on.files.list_all, files, takes=FileQuery, gives=list[FileShown], fails=(404,)),
        Route("GET", "/v3/files/{file}", on.files.show, files, gives=FileShown),
    ]


def _jobs(on: Handlers) -> list[Route]:
    """Pipeline jobs; the names in them are those of the PipelineJobs system."""
    every, one, read, execute = "/v3/jobs", "/v3/jobs/{job}", Need.JOBS_READ, Need.JOBS_EXECUTE
    changed, new = JobChanged, NewJob
    return [
        Route("GET", every, on.jobs.list_all, read, takes=JobQuery, gives=list[JobListed], fails=(404,)),
        Route("POST", every, on.jobs.create, execute, takes=new, gives=JobSetUp, status=201, also=200, fails=(404,)),
        Route("POST", f"{every}/preview", on.jobs.preview, execute, takes=new, gives=JobPreview, fails=(404,)),
        Route("GET", one, on.jobs.show, read, gives=JobShown),
        Route("DELETE", one, on.jobs.delete, execute, takes=TokenFields, gives=None),
        Route("GET", f"{one}/history", on.jobs.history, read, takes=HistoryQuery, gives=list[JobEventShown]),
        Route("POST", f"{one}/events", on.jobs.send_event, execute, takes=JobEventFields, gives=changed),
        Route("POST", f"{one}/reset", on.jobs.reset, execute, takes=ResetFields, gives=changed),
        Route("POST", f"{one}/cancel", on.jobs.cancel, execute, takes=TokenFields, gives=None),
    ]


def _batch(on: Handlers) -> list[Route]:
    """Apps and batch jobs, as Agave's clients ask. Whose a job is, its own use-cases check."""
    user, job, fails = Need.USER, "/jobs/v2/{batch_job}", (403, 404)
    apps, jobs = on.apps, on.batch_jobs
    return [
        Route("GET", "/apps/v2", apps.list_all, user, gives=list[AppLine], as_is=True),
        Route("POST", "/apps/v2", apps.register, Need.ADMIN, takes=ANY_JSON, gives=AppShown, status=201, as_is=True),
        Route("GET", "/apps/v2/{app}", apps.show, user, gives=AppShown, fails=(404,), as_is=True),
        Route("GET", "/jobs/v2", jobs.list_all, user, takes=BatchJobPage, gives=list[BatchJobShown], as_is=True),
        Route("POST", "/jobs/v2", jobs.submit, user, takes=ANY_JSON, gives=BatchJobShown, status=201, as_is=True),
        Route("GET", job, jobs.show, user, gives=BatchJobShown, fails=fails, as_is=True),
        Route("POST", job, jobs.act, user, takes=ANY_JSON, gives=BatchJobShown, fails=fails, as_is=True),
        Route("DELETE", job, jobs.stop, user, gives=BatchJobShown, fails=fails, as_is=True),
        Route("GET", f"{job}/history", jobs.history, user, gives=list[BatchHistoryLine], fails=fails, as_is=True),
        Route("GET", f"{job}/logs", jobs.logs, user, gives=BatchJobLog, fails=fails, as_is=True),
    ]

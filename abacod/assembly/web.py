"""The HTTP side: every handler gets the use-cases it offers."""

from __future__ import annotations

import socket

from aiohttp import web

from abacod.api.actors import ActorsApi
from abacod.api.admin import AdminApi
from abacod.api.aliases import AliasesApi
from abacod.api.apps import AppsApi
from abacod.api.batch_jobs import BatchJobsApi
from abacod.api.catalog import CatalogApi
from abacod.api.configs import ConfigsApi
from abacod.api.description import DescriptionApi
from abacod.api.executions import ExecutionsApi
from abacod.api.files import FilesApi
from abacod.api.health import HealthApi
from abacod.api.identity import IdentityApi
from abacod.api.jobs import JobsApi
from abacod.api.json_schemas import JsonSchemasApi
from abacod.api.logs import LogsApi
from abacod.api.messages import MessagesApi
from abacod.api.metrics import MetricsApi
from abacod.api.nonces import NoncesApi
from abacod.api.openapi import document
from abacod.api.permissions import PermissionsApi
from abacod.api.pipelines import PipelinesApi
from abacod.api.reply import Replies
from abacod.api.router import Router
from abacod.api.routes import Handlers, actor_routes, other_routes
from abacod.api.search import SearchApi, SearchForm
from abacod.api.server import Entry, http_server
from abacod.api.workers import WorkersApi
from abacod.assembly.core import Core
from abacod.clock import Clock
from abacod.config import Settings, engine_environment
from abacod.ids import Username
from abacod.services.access import Access
from abacod.services.accounts import Accounts
from abacod.services.actors import Actors
from abacod.services.aliases import Aliases
from abacod.services.batch.apps import Apps
from abacod.services.catalog.service import Catalog
from abacod.services.configs import Configs
from abacod.services.executions import Executions
from abacod.services.follow import LogFollowers
from abacod.services.gauges import Gauges
from abacod.services.loops import Background
from abacod.services.messages import Messages
from abacod.services.nonces import Nonces
from abacod.services.overview import Overview
from abacod.services.results import Results
from abacod.services.search import Search
from abacod.services.sharing import Sharing
from abacod.services.status import Status
from abacod.services.workers import Workers
from reactors.pipelinejobs.identifiers import Identifiers


def make_web(settings: Settings, clock: Clock, core: Core, actors: Actors, background: Background) -> web.Server:
    """The HTTP side: every handler gets the use-cases it offers."""
    limit = settings.server.max_text_bytes
    replies = Replies(settings.public_url, settings.compat)
    form = SearchForm(replies, settings.search)
    access = Access(core.database, clock)
    search = Search(
        core.database,
        core.pools,
        core.executor,
        clock,
        timeout=settings.search.timeout_seconds,
        at_once=max(1, settings.store.readers - 1),
        default_token=settings.runs.default_token,
    )
    status = Status(core.database, core.engine)
    accounts = Accounts(core.database, core.tokens, settings.auth, clock)
    messages = Messages(
        core.database,
        core.mailboxes,
        clock,
        core.events,
        news=core.news,
        messages_dir=settings.messages_dir,
        max_binary_bytes=settings.server.max_body_bytes,
    )
    executions = Executions(
        core.database,
        core.mailboxes,
        core.executor,
        clock,
        core.events,
        news=core.news,
        list_limit=settings.server.list_limit,
        spawn=background.spawn,
    )
    results = Results(
        core.database, executions, core.news, clock, synchronous_seconds=settings.server.synchronous_limit_seconds
    )
    followers = LogFollowers(core.database, core.executor, core.news, clock)
    actors_api = ActorsApi(
        actors, search, status, replies, form, max_text_bytes=limit, default_token=settings.runs.default_token
    )
    executions_api = ExecutionsApi(executions, results, search, replies, form)
    workers_api = WorkersApi(
        Workers(core.pools, settings.workers, settings.compat),
        search,
        replies,
        form,
        max_text_bytes=limit,
        location=settings.engine.url or engine_environment().docker_host or "unix:///var/run/docker.sock",
        host_name=socket.gethostname(),
        host_ip=settings.server.host,
    )
    overview = Overview(core.database, core.mailboxes, core.pools)
    databases = {
        "actors": actors_api.search,
        "workers": workers_api.search,
        "executions": executions_api.search,
        "logs": executions_api.search_logs,
    }
    identifiers = Identifiers(settings.pipelines.dns_domain, settings.pipelines.default_system)
    nonces = Nonces(core.database, core.seal, clock)
    handlers = Handlers(
        actors=actors_api,
        messages=MessagesApi(
            messages,
            results,
            replies,
            max_text_bytes=limit,
            max_reactor_bytes=settings.pipelines.max_message_bytes,
        ),
        executions=executions_api,
        logs=LogsApi(executions_api, executions, followers, form),
        permissions=PermissionsApi(Sharing(core.database), replies, max_text_bytes=limit),
        nonces=NoncesApi(nonces, replies, max_text_bytes=limit),
        aliases=AliasesApi(Aliases(core.database), replies, max_text_bytes=limit),
        workers=workers_api,
        search=SearchApi(databases, executions_api.search, access),
        admin=AdminApi(overview, actors_api, workers_api, replies),
        configs=ConfigsApi(Configs(core.database, core.seal), replies, max_text_bytes=limit),
        identity=IdentityApi(
            accounts,
            core.tokens,
            replies,
            site_id=settings.auth.site_id,
            tenants=settings.tenants,
            api_server=settings.runs.api_server,
        ),
        health=HealthApi(status),
        description=DescriptionApi(lambda: document(*tables, settings.compat, settings.public_url)),
        metrics=MetricsApi(Gauges(core.database, core.mailboxes, core.pools, core.engine), core.metrics),
        schemas=JsonSchemasApi(replies),
        pipelines=PipelinesApi(core.system.pipelines, replies),
        files=FilesApi(core.system.file_records, replies),
        jobs=JobsApi(core.system.jobs, core.system.setup, replies, max_text_bytes=limit),
        catalog=CatalogApi(Catalog(core.database, identifiers, clock), replies, max_text_bytes=limit),
        apps=AppsApi(Apps(core.database, Username(settings.pipelines.owner), clock), replies, max_text_bytes=limit),
        batch_jobs=BatchJobsApi(core.batch.local, replies, max_text_bytes=limit),
    )
    tables = actor_routes(handlers), other_routes(handlers)
    router = Router(*tables)
    return http_server(Entry(router, accounts, access, nonces, replies, clock, core.metrics.request_served))

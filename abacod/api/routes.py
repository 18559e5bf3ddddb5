"""Every address, who may use it, and the handler that serves it."""

from __future__ import annotations

from dataclasses import dataclass

from abacod.api.actors import ActorsApi, ActorsFound, ActorShown, Registration, StateShown
from abacod.api.admin import AdminApi, AdminExecutions, AdminWorkers, BusyActorShown, UtilizationShown
from abacod.api.aliases import AliasesApi, AliasShown, AliasUpdate, NewAlias
from abacod.api.calls import ANY_JSON, OCTETS, Need, Route
from abacod.api.configs import ConfigFields, ConfigsApi, ConfigShown
from abacod.api.description import DOCUMENT, PAGE, DescriptionApi
from abacod.api.executions import ExecutionList, ExecutionsApi, ExecutionsFound, ExecutionShown, LogsFound, LogShown
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
from abacod.api.logs import STREAM, LogQuery, LogsApi
from abacod.api.messages import LOG, MESSAGE, MailboxPurged, MailboxShown, MessagesApi, MessageSent
from abacod.api.metrics import EXPOSITION, MetricsApi
from abacod.api.nonces import AliasNonceShown, NewNonce, NoncesApi, NonceShown
from abacod.api.permissions import Grant, Levels, PermissionsApi
from abacod.api.search import SearchApi, SearchParameters
from abacod.api.workers import WorkersApi, WorkersFound, WorkerShown, WorkersWanted


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


def actor_routes(on: Handlers) -> list[Route]:
    """The actors API, relative to each of its prefixes (spec/actors-api 1.7)."""
    return [
        Route(
            "GET",
            "/",
            on.actors.list_all,
            Need.USER,
            takes=SearchParameters,
            gives=list[ActorShown] | ActorsFound,
        ),
        Route("POST", "/", on.actors.create, Need.USER, takes=Registration, gives=ActorShown, status=201),
        Route("GET", "/{actor}", on.actors.show, Need.READ, gives=ActorShown),
        Route("PUT", "/{actor}", on.actors.update, Need.UPDATE, takes=Registration, gives=ActorShown),
        Route("DELETE", "/{actor}", on.actors.delete, Need.UPDATE, gives=None),
        Route("GET", "/{actor}/state", on.actors.state, Need.READ, gives=StateShown),
        Route("POST", "/{actor}/state", on.actors.set_state, Need.UPDATE, takes=ANY_JSON, gives=ActorShown),
        Route("GET", "/{actor}/messages", on.messages.count, Need.READ, gives=MailboxShown, as_is=True),
        Route(
            "POST",
            "/{actor}/messages",
            on.messages.send,
            Need.EXECUTE,
            takes=MESSAGE,
            gives=(MessageSent, OCTETS, LOG),
            fails=(504,),
            as_is=True,
        ),
        Route("DELETE", "/{actor}/messages", on.messages.purge, Need.UPDATE, gives=MailboxPurged, as_is=True),
        Route(
            "GET",
            "/{actor}/executions",
            on.executions.list_all,
            Need.READ,
            takes=SearchParameters,
            gives=ExecutionList | ExecutionsFound,
        ),
        Route("GET", "/{actor}/executions/{execution}", on.executions.show, Need.READ, gives=ExecutionShown),
        Route("DELETE", "/{actor}/executions/{execution}", on.executions.halt, Need.UPDATE, gives=None),
        Route(
            "GET",
            "/{actor}/executions/{execution}/logs",
            on.logs.show,
            Need.READ,
            takes=LogQuery,
            gives=(LogShown | LogsFound, STREAM),
        ),
        Route("GET", "/{actor}/executions/{execution}/results", on.executions.result, Need.READ, gives=OCTETS),
        Route("POST", "/{actor}/executions/{execution}/results", on.executions.posted_result, Need.READ, gives=OCTETS),
        Route("GET", "/{actor}/permissions", on.permissions.list_all, Need.READ, gives=Levels, as_is=True),
        Route("POST", "/{actor}/permissions", on.permissions.grant, Need.UPDATE, takes=Grant, gives=Levels, as_is=True),
        Route(
            "GET",
            "/{actor}/workers",
            on.workers.list_all,
            Need.READ,
            takes=SearchParameters,
            gives=list[WorkerShown] | WorkersFound,
        ),
        Route("POST", "/{actor}/workers", on.workers.ensure, Need.ADMIN_AND_UPDATE, takes=WorkersWanted, gives=None),
        Route("GET", "/{actor}/workers/{worker}", on.workers.show, Need.READ, gives=WorkerShown),
        Route("DELETE", "/{actor}/workers/{worker}", on.workers.stop, Need.UPDATE, gives=None),
        Route("GET", "/utilization", on.admin.utilization, Need.USER, gives=UtilizationShown, as_is=True),
        Route("GET", "/admin", on.admin.all_actors, Need.ADMIN, gives=list[BusyActorShown]),
        Route("GET", "/admin/workers", on.admin.all_workers, Need.ADMIN, gives=AdminWorkers),
        Route("GET", "/admin/executions", on.admin.all_executions, Need.ADMIN, gives=AdminExecutions),
        Route(
            "GET",
            "/search/{database}",
            on.search.search,
            Need.USER,
            takes=SearchParameters,
            gives=ActorsFound | WorkersFound | ExecutionsFound | LogsFound,
        ),
        Route(
            "GET",
            "/search/{database}/{actor}/executions",
            on.search.search_executions,
            Need.USER,
            takes=SearchParameters,
            gives=ExecutionsFound,
            fails=(403, 404),
        ),
        *_alias_routes(on),
        *_nonce_routes(on),
        *_config_routes(on),
    ]


def _alias_routes(on: Handlers) -> list[Route]:
    """Aliases and what belongs to them; relative to the same prefixes."""
    return [
        Route("GET", "/aliases", on.aliases.list_all, Need.USER, gives=list[AliasShown]),
        Route(
            "POST", "/aliases", on.aliases.create, Need.USER, takes=NewAlias, gives=AliasShown, status=201, fails=(404,)
        ),
        Route("GET", "/aliases/{alias}", on.aliases.show, Need.ALIAS_READ, gives=AliasShown),
        Route("PUT", "/aliases/{alias}", on.aliases.update, Need.ALIAS_UPDATE, takes=AliasUpdate, gives=AliasShown),
        Route("DELETE", "/aliases/{alias}", on.aliases.delete, Need.ALIAS_UPDATE, gives=None),
        Route(
            "GET",
            "/aliases/{alias}/permissions",
            on.permissions.list_of_alias,
            Need.ALIAS_READ,
            gives=Levels,
            as_is=True,
        ),
        Route(
            "POST",
            "/aliases/{alias}/permissions",
            on.permissions.grant_on_alias,
            Need.ALIAS_UPDATE,
            takes=Grant,
            gives=Levels,
            as_is=True,
        ),
    ]


def _nonce_routes(on: Handlers) -> list[Route]:
    """Nonces of actors and of aliases; relative to the same prefixes. Who can read one can use it, hence the level."""
    update, both = Need.UPDATE, Need.ALIAS_AND_ACTOR_UPDATE
    return [
        Route("GET", "/{actor}/nonces", on.nonces.list_all, update, gives=list[NonceShown]),
        Route("POST", "/{actor}/nonces", on.nonces.create, update, takes=NewNonce, gives=NonceShown, status=201),
        Route("GET", "/{actor}/nonces/{nonce}", on.nonces.show, update, gives=NonceShown),
        Route("DELETE", "/{actor}/nonces/{nonce}", on.nonces.delete, update, gives=None),
        Route("GET", "/aliases/{alias}/nonces", on.nonces.list_of_alias, both, gives=list[AliasNonceShown]),
        Route(
            "POST",
            "/aliases/{alias}/nonces",
            on.nonces.create_for_alias,
            both,
            takes=NewNonce,
            gives=AliasNonceShown,
            status=201,
        ),
        Route("GET", "/aliases/{alias}/nonces/{nonce}", on.nonces.show_of_alias, both, gives=AliasNonceShown),
        Route("DELETE", "/aliases/{alias}/nonces/{nonce}", on.nonces.delete_of_alias, both, gives=None),
    ]


def _config_routes(on: Handlers) -> list[Route]:
    """Configs and what belongs to them; relative to the same prefixes."""
    return [
        Route("GET", "/configs", on.configs.list_all, Need.USER, gives=list[ConfigShown]),
        Route(
            "POST",
            "/configs",
            on.configs.create,
            Need.USER,
            takes=ConfigFields,
            gives=ConfigShown,
            fails=(403, 404),
        ),
        Route("GET", "/configs/{config}", on.configs.show, Need.CONFIG_READ, gives=ConfigShown),
        Route("PUT", "/configs/{config}", on.configs.update, Need.CONFIG_UPDATE, takes=ConfigFields, gives=ConfigShown),
        Route("DELETE", "/configs/{config}", on.configs.delete, Need.CONFIG_UPDATE, gives=None),
        Route(
            "GET",
            "/configs/{config}/permissions",
            on.permissions.list_of_config,
            Need.CONFIG_READ,
            gives=Levels,
            as_is=True,
        ),
        Route(
            "POST",
            "/configs/{config}/permissions",
            on.permissions.grant_on_config,
            Need.CONFIG_UPDATE,
            takes=Grant,
            gives=Levels,
            as_is=True,
        ),
    ]


def other_routes(on: Handlers) -> list[Route]:
    """Everything outside the actors API."""
    return [
        Route("GET", "/healthz", on.health.alive, Need.NOTHING, gives=Alive),
        Route("GET", "/readyz", on.health.ready, Need.NOTHING, gives=Ready),
        Route("GET", "/openapi.json", on.description.document, Need.NOTHING, gives=DOCUMENT),
        Route("GET", "/docs", on.description.page, Need.NOTHING, gives=PAGE),
        Route("GET", "/metrics", on.metrics.scrape, Need.NOTHING, gives=EXPOSITION),
        Route("GET", "/v3/sites", on.identity.sites, Need.NOTHING, gives=list[SiteShown]),
        Route("GET", "/v3/tenants", on.identity.tenants, Need.NOTHING, gives=list[TenantShown]),
        Route("GET", "/v3/tenants/{tenant}", on.identity.tenant, Need.NOTHING, gives=TenantShown),
        Route(
            "POST", "/v3/oauth2/tokens", on.identity.create, Need.NOTHING, takes=Login, gives=NewTokens, fails=(401,)
        ),
        Route("GET", "/v3/oauth2/userinfo", on.identity.userinfo, Need.USER, gives=Profile, fails=(404,)),
        Route("GET", "/v3/oauth2/profiles", on.identity.profiles, Need.USER, gives=list[Profile]),
        Route("GET", "/v3/oauth2/profiles/{username}", on.identity.profile, Need.USER, gives=Profile),
        Route("POST", "/token", on.identity.create_bare, Need.NOTHING, takes=Login, gives=BARE_TOKENS, fails=(401,)),
        Route("GET", "/profiles/v2", on.identity.profiles_v2, Need.USER, gives=list[ProfileV2], as_is=True),
        Route("GET", "/profiles/v2/{username}", on.identity.profile_v2, Need.USER, gives=ProfileV2, as_is=True),
    ]

"""Every address, who may use it, and the handler that serves it."""

from __future__ import annotations

from dataclasses import dataclass

from abacod.api.actors import ActorsApi
from abacod.api.calls import Need, Route
from abacod.api.executions import ExecutionsApi
from abacod.api.health import HealthApi
from abacod.api.identity import IdentityApi
from abacod.api.messages import MessagesApi
from abacod.api.permissions import PermissionsApi
from abacod.api.workers import WorkersApi


@dataclass(frozen=True, slots=True)
class Handlers:
    """All handlers."""

    actors: ActorsApi
    messages: MessagesApi
    executions: ExecutionsApi
    permissions: PermissionsApi
    workers: WorkersApi
    identity: IdentityApi
    health: HealthApi


def actor_routes(on: Handlers) -> list[Route]:
    """The actors API, relative to each of its prefixes (spec/actors-api 1.7)."""
    return [
        Route("GET", "/", on.actors.list_all, Need.USER),
        Route("POST", "/", on.actors.create, Need.USER),
        Route("GET", "/{actor}", on.actors.show, Need.READ),
        Route("PUT", "/{actor}", on.actors.update, Need.UPDATE),
        Route("DELETE", "/{actor}", on.actors.delete, Need.UPDATE),
        Route("GET", "/{actor}/state", on.actors.state, Need.READ),
        Route("POST", "/{actor}/state", on.actors.set_state, Need.UPDATE),
        Route("GET", "/{actor}/messages", on.messages.count, Need.READ),
        Route("POST", "/{actor}/messages", on.messages.send, Need.EXECUTE),
        Route("DELETE", "/{actor}/messages", on.messages.purge, Need.UPDATE),
        Route("GET", "/{actor}/executions", on.executions.list_all, Need.READ),
        Route("GET", "/{actor}/executions/{execution}", on.executions.show, Need.READ),
        Route("DELETE", "/{actor}/executions/{execution}", on.executions.halt, Need.UPDATE),
        Route("GET", "/{actor}/executions/{execution}/logs", on.executions.log, Need.READ),
        Route("GET", "/{actor}/permissions", on.permissions.list_all, Need.READ),
        Route("POST", "/{actor}/permissions", on.permissions.grant, Need.UPDATE),
        Route("GET", "/{actor}/workers", on.workers.list_all, Need.READ),
        Route("POST", "/{actor}/workers", on.workers.ensure, Need.ADMIN_AND_READ),
        Route("GET", "/{actor}/workers/{worker}", on.workers.show, Need.READ),
        Route("DELETE", "/{actor}/workers/{worker}", on.workers.stop, Need.UPDATE),
    ]


def other_routes(on: Handlers) -> list[Route]:
    """Everything outside the actors API."""
    return [
        Route("GET", "/healthz", on.health.alive, Need.NOTHING),
        Route("GET", "/readyz", on.health.ready, Need.NOTHING),
        Route("GET", "/v3/sites", on.identity.sites, Need.NOTHING),
        Route("GET", "/v3/tenants", on.identity.tenants, Need.NOTHING),
        Route("GET", "/v3/tenants/{tenant}", on.identity.tenant, Need.NOTHING),
        Route("POST", "/v3/oauth2/tokens", on.identity.create_tokens, Need.NOTHING),
        Route("GET", "/v3/oauth2/userinfo", on.identity.userinfo, Need.USER),
        Route("GET", "/v3/oauth2/profiles", on.identity.profiles, Need.USER),
        Route("GET", "/v3/oauth2/profiles/{username}", on.identity.profile, Need.USER),
    ]

"""What a program that runs as an actor starts with."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Iterable, Mapping, NoReturn

from reactors.runtime.actors import ANY_NUMBER, Actors, Retries
from reactors.runtime.client import Client
from reactors.runtime.context import get_context, in_container
from reactors.runtime.daemon import Daemon
from reactors.runtime.errors import MessageNotSent, ReactorError
from reactors.runtime.logs import Loggers, Redactor, secrets_of
from reactors.runtime.messages import parsed
from reactors.runtime.names import nickname
from reactors.runtime.permissions import PermissionAgent
from reactors.runtime.results import send_result
from reactors.runtime.settings import NAMESPACE, load_settings
from reactors.runtime.validating import validate

_TRUE = ("1", "true", "yes", "on", "t", "y")
_TAGGED = ("APP_ID", "JOB_ID", "EVENT", "UUID")


class Reactor:
    """The context, the settings and the log of an execution, and its way to the daemon (spec/pipelinejobs 8.4).

    `redactions` are further texts that the log must not show. `session` is the name of the session, over the inherited
    one. With `tapis_optional`, `client` is None where there is no access token. `namespace` begins the names of the
    variables that overlay settings. Nothing is asked of the daemon until it is needed.
    """

    def __init__(
        self,
        redactions: Iterable[str] = (),
        *,
        session: str | None = None,
        tapis_optional: bool = False,
        namespace: str = NAMESPACE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._started = time.monotonic_ns()
        environment = dict(os.environ if environment is None else environment)
        self._environment = environment
        self._tapis_optional = tapis_optional
        self.context = get_context(environment)
        self.in_container = in_container(environment)
        self.settings = load_settings(environment, namespace)
        inherited = session or environment.get("x_session") or environment.get("SESSION")
        self.session: str = inherited or nickname()
        self.nickname: str = nickname() if inherited else self.session
        self.local = environment.get("LOCALONLY", "").strip().lower() in _TRUE
        self.loggers = Loggers(self.uid, self.settings, Redactor([*secrets_of(environment, namespace), *redactions]))
        self.logger = self.loggers.screen
        self.daemon = Daemon(environment.get("_abaco_api_server", ""), environment.get("_abaco_access_token", ""))
        self._actors = Actors(self.daemon)
        self._client: Client | None = None

    # --- the execution ----------------------------------------------------------------------------------------------

    @property
    def uid(self) -> str:
        """The id of the actor."""
        return str(self.context.actor_id)

    @property
    def execid(self) -> str:
        """The id of the execution."""
        return str(self.context.execution_id)

    @property
    def username(self) -> str | None:
        """Who sent the message."""
        return self._text("username")

    @property
    def worker_id(self) -> str | None:
        """The id of the worker."""
        return self._text("worker_id")

    workerid = worker_id

    @property
    def container_repo(self) -> str | None:
        """The image, as it was registered."""
        return self._text("actor_repo")

    @property
    def actor_name(self) -> str | None:
        """The name of the actor."""
        return self._text("actor_name")

    @property
    def state(self) -> Any:
        """The state of the actor when the execution began, as a value; `{}` if there is none, a text if it is not JSON."""
        text = self.context.state
        found = parsed(text)
        return found.value if found.understood else text or {}

    def _text(self, name: str) -> str | None:
        value = self.context.get(name)
        return None if value is None else str(value)

    def elapsed(self) -> int:
        """Microseconds since the reactor was made."""
        return (time.monotonic_ns() - self._started) // 1000

    def on_success(self, successMessage: str = "Success") -> NoReturn:
        """Log the text and end the program with exit code 0."""
        self.logger.info(successMessage)
        sys.exit(0)

    def on_failure(self, failMessage: str = "Failure", exceptionObject: object = None) -> NoReturn:
        """Log `text : exception` and end the program with exit code 1."""
        self.logger.critical(failMessage if exceptionObject is None else f"{failMessage} : {exceptionObject}")
        sys.exit(1)

    def send_result(self, value: Any) -> None:
        """Send a result of the execution: bytes, a text, or what JSON has. Outside a container it is logged.

        Raises:
            ResultNotSent: it is too large, or nobody reads it.
        """
        if self.in_container:
            send_result(value)
        else:
            self.logger.info("result: %r", value)

    def validate_message(
        self,
        message: Any = None,
        schema: Any = None,
        permissive: bool = True,
        *,
        messagedict: Any = None,
        messageschema: Any = None,
    ) -> bool:
        """Whether a message fits a JSON schema; without arguments, the reactor's own message and its own schemas.

        `schema` is one, or the path of a file; `messagedict` and `messageschema` are other names. A refusal is logged.

        Raises:
            jsonschema.ValidationError: it does not fit, and `permissive` is false.
            FileNotFoundError, ValueError, jsonschema.SchemaError: so is the schema, and `permissive` is false.
        """
        message = messagedict if message is None else message
        schema = messageschema if schema is None else schema
        try:
            validate(self.context.message_dict if message is None else message, schema)
        except Exception as error:
            # Whatever is wrong with message or schema: the caller asked for yes or no.
            if not permissive:
                raise
            # Text that could not be read counts as {}; what that lacks is not what its sender has to put right.
            unread = self.context.raw_message_parse_log if message is None else ""
            why = f" ({'; '.join(unread.splitlines())})" if unread else ""
            self.logger.error("The message does not fit its schema: %s%s", getattr(error, "message", error), why)  # noqa: TRY400
            return False
        return True

    # --- the daemon -------------------------------------------------------------------------------------------------

    @property
    def client(self) -> Any:
        """The platform, called as the owner of the actor (see `Client`).

        Raises:
            ReactorError: there is no access token; the actor must be registered with `token`.
        """
        token = self._environment.get("_abaco_access_token", "")
        if not token:
            if self._tapis_optional:
                return None
            raise ReactorError("there is no access token here; register the actor with token: true")
        self._client = self._client or Client(self.daemon, token)
        return self._client

    @property
    def pemagent(self) -> PermissionAgent:
        """Asks for permissions on files."""
        pipelines = self.settings.get("pipelines") or {}
        return PermissionAgent(
            lambda actor, wanted: self.send_message(actor, wanted, ignoreErrors=False),
            pipelines.get("permission_manager"),
        )

    def resolve_actor(self, name: str) -> str:
        """The id or alias that a name stands for: `me` and `self`, `linked_reactors.NAME.id` of the settings, else itself."""
        if name in ("me", "self"):
            return self.uid
        linked = (self.settings.get("linked_reactors") or {}).get(name)
        return str(linked["id"]) if isinstance(linked, Mapping) and linked.get("id") else name

    def send_message(
        self,
        actorId: str,
        message: Any,
        environment: Mapping[str, Any] | None = None,
        ignoreErrors: bool = True,
        senderTags: bool = True,
        retryMaxAttempts: int = 5,
        retryDelay: float = 1,
        sync: bool = False,
        nonce: str | None = None,
    ) -> str | None:
        """Send a text, bytes or JSON to an actor, and return the id of the execution; with `sync`, after it has ended.

        `environment` becomes variables there; with `senderTags` also who sends. It is tried again up to `retryMaxAttempts`
        times, first after `retryDelay` seconds. None is returned if it could not be sent; that is logged.

        Raises:
            MessageNotSent: it could not be sent, and `ignoreErrors` is false.
            DaemonError: the execution could not be waited for.
        """
        actor = self.resolve_actor(actorId)
        query = {name: str(value) for name, value in (environment or {}).items()}
        # A nonce travels apart, for requests to carry it only where the token does not do.
        nonce = query.pop("x-nonce", None) or nonce
        query = {**(self.sender_tags() if senderTags else {}), **query}
        try:
            execution = self._actors.send(actor, message, query, Retries(retryMaxAttempts, retryDelay), nonce)
        except (MessageNotSent, ValueError) as error:
            if not ignoreErrors:
                raise
            self.logger.error("%s", error)  # noqa: TRY400 - a traceback would say no more
            return None
        if sync:
            self._actors.wait(actor, execution, nonce)
        return execution

    def sender_tags(self) -> dict[str, str]:
        """The variables that tell an actor who sends it a message."""
        tags = {"x_src_actor_id": self.uid, "x_src_execution_id": self.execid, "x_session": self.session}
        found = {f"x_src_{name.lower()}": self._environment.get(name) for name in _TAGGED}
        return {**tags, **{name: value for name, value in found.items() if value}}

    def get_attr(self, name: str, actorId: str | None = None) -> Any:
        """A field of an actor as the daemon shows it, None if there is none. Raises DaemonError."""
        return self._actors.get(self._actor(actorId)).get(name)

    actor_property = get_attr

    def add_nonce(self, permission: str = "READ", maxuses: int = 1, actorId: str | None = None) -> Any:
        """A new nonce of the actor; `id` is what to hand out, `maxuses` -1 for any number. Raises DaemonError, ValueError."""
        return self._actors.add_nonce(self._actor(actorId), permission, maxuses)

    def get_nonce(self, nonceId: str, actorId: str | None = None) -> Any:
        """A nonce of the actor. Raises DaemonError."""
        return self._actors.nonce(self._actor(actorId), nonceId)

    def list_nonces(self, actorId: str | None = None) -> list[Any]:
        """The nonces of the actor. Raises DaemonError."""
        return list(self._actors.nonces(self._actor(actorId)))

    def delete_nonce(self, nonceId: str, actorId: str | None = None) -> bool:
        """Revoke a nonce. Raises DaemonError."""
        self._actors.delete_nonce(self._actor(actorId), nonceId)
        return True

    def delete_all_nonces(self, actorId: str | None = None) -> bool:
        """Revoke all nonces of the actor. Raises DaemonError."""
        for nonce in self.list_nonces(actorId):
            self.delete_nonce(nonce.id, actorId)
        return True

    def create_webhook(self, permission: str = "EXECUTE", maxuses: int = ANY_NUMBER, actorId: str | None = None) -> str:
        """A URL that takes messages for the actor, with a nonce of its own. Raises DaemonError, ValueError."""
        return self._actors.webhook(self._actor(actorId), permission, maxuses)

    def delete_webhook(self, webhook: str) -> bool:
        """Make a URL of `create_webhook` useless. Raises DaemonError, ValueError."""
        self._actors.delete_webhook(webhook)
        return True

    def _actor(self, actor: str | None) -> str:
        return self.uid if actor is None else self.resolve_actor(actor)

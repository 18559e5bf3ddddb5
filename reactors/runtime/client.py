"""The platform as a reactor's program calls it: `rx.client`."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from reactors.runtime.attributes import AttributeDict, wrapped
from reactors.runtime.daemon import Daemon, path_of
from reactors.runtime.errors import ReactorError


class Client:
    """Calls the daemon as the user of the access token.

    `jobs`, `apps` and `profiles` have the operations of Agave's client. `actors` has its most used ones, and those of
    tapipy. All other attributes are those of tapipy's client, for which `reactors[client]` must be installed.
    """

    def __init__(self, daemon: Daemon, token: str) -> None:
        self._daemon = daemon
        self._token = token
        self._tapipy: Any = None
        self.jobs = JobOperations(daemon)
        self.apps = AppOperations(daemon)
        self.profiles = ProfileOperations(daemon)
        self.actors = ActorOperations(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.tapipy(), name)

    def tapipy(self) -> Any:
        """tapipy's own client.

        Raises:
            ReactorError: tapipy is not installed.
        """
        if self._tapipy is None:
            try:
                from tapipy.tapis import Tapis  # noqa: PLC0415 - optional
            except ImportError as error:
                raise ReactorError("this needs tapipy; install it in the image") from error
            self._tapipy = Tapis(base_url=self._daemon.base_url, access_token=self._token)
        return self._tapipy

    def call(self, method: str, path: str, *, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """The `result` of any request, objects as attribute dictionaries. Raises DaemonError."""
        result = self._daemon.call(method, path, body=body, query=query)
        return wrapped(result)


class JobOperations:
    """Batch jobs (`/jobs/v2`). All methods raise DaemonError."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def submit(self, body: Mapping[str, Any]) -> AttributeDict:
        """Launch a job of an app; the answer has its `id`."""
        return AttributeDict(self._daemon.call("POST", "/jobs/v2", body=dict(body)))

    def get(self, jobId: str) -> AttributeDict:
        """A job."""
        return AttributeDict(self._daemon.call("GET", path_of("jobs", "v2", jobId)))

    def list(self) -> Sequence[AttributeDict]:
        """The user's jobs."""
        return [AttributeDict(each) for each in self._daemon.call("GET", "/jobs/v2")]

    def getHistory(self, jobId: str) -> Sequence[AttributeDict]:
        """What happened to a job."""
        return [AttributeDict(each) for each in self._daemon.call("GET", path_of("jobs", "v2", jobId, "history"))]

    def manage(self, jobId: str, body: Mapping[str, Any]) -> AttributeDict:
        """Do something with a job, such as `{"action": "stop"}`."""
        return AttributeDict(self._daemon.call("POST", path_of("jobs", "v2", jobId), body=dict(body)))


class AppOperations:
    """Apps (`/apps/v2`). All methods raise DaemonError."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def get(self, appId: str) -> AttributeDict:
        """An app."""
        return AttributeDict(self._daemon.call("GET", path_of("apps", "v2", appId)))

    def list(self) -> Sequence[AttributeDict]:
        """The apps that the user may run."""
        return [AttributeDict(each) for each in self._daemon.call("GET", "/apps/v2")]


class ProfileOperations:
    """Users (`/profiles/v2`). All methods raise DaemonError."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def get(self, username: str = "me") -> AttributeDict:
        """A user's profile, without a name that of the token's user."""
        return AttributeDict(self._daemon.call("GET", path_of("profiles", "v2", username)))


class ActorOperations:
    """Actors: Agave's names in camelCase, and all operations of tapipy. The methods here raise DaemonError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._client.tapipy().actors, name)

    def get(self, actorId: str) -> AttributeDict:
        """An actor."""
        return AttributeDict(self._client.call("GET", path_of("actors", "v2", actorId)))

    def sendMessage(
        self, actorId: str, body: Mapping[str, Any], environment: Mapping[str, str] | None = None
    ) -> AttributeDict:
        """Send the field `message` of `body`, or all of it if there is none; the answer has `executionId`."""
        path = path_of("actors", "v2", actorId, "messages")
        return AttributeDict(self._client.call("POST", path, body=dict(body), query=environment))

    def updateState(self, actorId: str, body: Any) -> AttributeDict:
        """Set the state of an actor that is not stateless."""
        return AttributeDict(self._client.call("POST", path_of("actors", "v2", actorId, "state"), body=body))

    def getState(self, actorId: str) -> AttributeDict:
        """The state of an actor, in `state`."""
        return AttributeDict(self._client.call("GET", path_of("actors", "v2", actorId, "state")))

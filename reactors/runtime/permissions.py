"""Asking for permissions on files: `rx.pemagent`."""

from __future__ import annotations

from typing import Callable

from reactors.runtime.agaveutils import to_agave_uri
from reactors.runtime.errors import ReactorError


class PermissionAgent:
    """Asks the actor of the setting `pipelines.permission_manager` to grant permissions on files."""

    def __init__(self, send: Callable[[str, dict[str, object]], str | None], actor: str | None) -> None:
        self._send = send
        self._actor = actor

    def grant(
        self,
        systemId: str,
        absolutePath: str,
        username: str = "world",
        permission: str = "READ",
        recursive: bool = True,
    ) -> str | None:
        """Ask; returns the id of the execution that does it.

        Raises:
            ReactorError: there is no such setting.
            MessageNotSent: the actor cannot be reached.
        """
        if not self._actor:
            raise ReactorError("pipelines.permission_manager is not set; set it to the actor that grants permissions")
        uri = to_agave_uri(systemId, absolutePath, validate=True)
        wanted = {"uri": uri, "username": username, "permission": permission, "recursive": recursive}
        return self._send(self._actor, wanted)

"""A small Agave service, version 2: tokens, apps and jobs, with the status codes and documents that it is documented with.

Tests make it fail: `faults` are answers given once instead of the real one, by method and path.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from tests.abacod.services.batch.failing_service import FailingService, Fault

APP: Final = "tacobot9000-0.1.0u1"
CLIENT: Final = ("key", "client-secret")
USER: Final = ("sd2eadm", "password")
# What lists of jobs have of each, unless a filter asks for more.
_SUMMARY: Final = (
    "id",
    "name",
    "owner",
    "executionSystem",
    "appId",
    "created",
    "status",
    "startTime",
    "endTime",
    "_links",
)


def enveloped(result: Any, status: int = 200, message: str | None = None) -> web.Response:
    """An answer as Agave gives it."""
    word = "success" if status < 400 else "error"
    return web.json_response({"status": word, "message": message, "version": "2.2.27", "result": result}, status=status)


def answering(status: int, text: str = "", message: str = "") -> Fault:
    """A fault: this answer, and nothing is done."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return enveloped(None, status, message) if message else web.Response(status=status, text=text)

    return answer


class AgaveService(FailingService):
    """The service. `asked` are the requests in order; `jobs` are those that it has, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[Any] = []
        self.grants: list[dict[str, str]] = []
        self.apps: dict[str, dict[str, Any]] = {APP: {"id": APP, "name": "tacobot9000", "isPublic": True}}
        self.refreshable: set[str] = set()
        self.lists_paths = True

    def forget_tokens(self) -> None:
        """Every access token is out of date."""
        self.valid.clear()

    def add_job(self, **given: Any) -> dict[str, Any]:
        """A job, as after its submission."""
        job = {
            "id": f"job-{len(self.jobs) + 1}-007",
            "status": "PENDING",
            "owner": USER[0],
            "created": "2026-01-01T00:00:00.000-00:00",
            **given,
        }
        self.jobs.insert(0, job)
        return job

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if (request.method, request.path) == ("POST", "/token"):
            return self._token(request, dict(parse_qsl(await request.text())))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.valid:
            return web.json_response({"fault": {"code": 900904, "message": "Access Token Inactive"}}, status=401)
        return await self._serve(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        match request.path.strip("/").split("/"):
            case ["apps", "v2", name] if request.method == "GET":
                if name in self.hidden:
                    return enveloped(
                        None, 403, "Permission denied. You do not have permission to view this application"
                    )
                return enveloped(self.apps[name]) if name in self.apps else enveloped(None, 404, "No software found")
            case ["jobs", "v2"] if request.method == "POST":
                return await self._submit(request)
            case ["jobs", "v2"]:
                start, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 250))
                wanted = (
                    request.query["filter"].split(",") if "filter" in request.query and self.lists_paths else _SUMMARY
                )
                page = self.jobs[start : start + limit]
                return enveloped([{name: job[name] for name in wanted if name in job} for job in page])
            case ["jobs", "v2", name]:
                found = [job for job in self.jobs if job["id"] == name]
                return enveloped(found[0]) if found else enveloped(None, 404, "No job found")
        return enveloped(None, 404, "Not found")

    async def _submit(self, request: web.Request) -> web.Response:
        definition = json.loads(await request.read())
        self.bodies.append(definition)
        if definition["appId"] not in self.apps:
            return enveloped(None, 400, "Invalid appId value. No matching app found")
        return enveloped(self.add_job(**definition), 201)

    def _token(self, request: web.Request, grant: dict[str, str]) -> web.Response:
        self.grants.append(grant)
        login = "Basic " + base64.b64encode(":".join(CLIENT).encode()).decode()
        user = (grant.get("username"), grant.get("password"))
        by_user = grant["grant_type"] == "password" and user == USER
        by_token = grant["grant_type"] == "refresh_token" and grant.get("refresh_token") in self.refreshable
        if request.headers.get("Authorization") != login or not (by_user or by_token):
            return web.json_response({"error": "invalid_grant"}, status=400)
        number = len(self.grants)
        self.valid.add(f"access-{number}")
        self.refreshable = {f"refresh-{number}"}
        return web.json_response(
            {
                "scope": "default",
                "token_type": "bearer",
                "expires_in": 14400,
                "refresh_token": f"refresh-{number}",
                "access_token": f"access-{number}",
            }
        )

"""A small Tapis service, version 3: tokens, apps and jobs. Requests for jobs are held to the schema that tapipy has of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import jsonschema
from aiohttp import web
from tapipy.tapis import RESOURCE_SPECS

from tests.abacod.services.batch.failing_service import FailingService, Fault

APP: Final = ("wordcount", "0.1.0")
USER: Final = ("sd2eadm", "password")
_SUMMARY: Final = ("uuid", "name", "owner", "appId", "created", "status")


@cache
def job_schema() -> dict[str, Any]:
    """The schema of a request for a job, which allows nothing but what it names."""
    paths = RESOURCE_SPECS["jobs"]["paths"]
    schema = json.loads(
        json.dumps(paths["/jobs/submit"]["post"]["requestBody"]["content"]["application/json"]["schema"])
    )
    for each in _objects(schema):
        if each.get("properties"):
            each["additionalProperties"] = False
    return dict(schema)


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for each in schema.values():
            yield from _objects(each)


def enveloped(result: Any, status: int = 200, message: str = "") -> web.Response:
    """An answer as Tapis gives it."""
    word = "success" if status < 400 else "error"
    return web.json_response({"status": word, "message": message, "version": "1.8", "result": result}, status=status)


def answering(status: int, text: str = "", message: str = "", content_type: str = "application/json") -> Fault:
    """A fault: this answer, and nothing is done."""

    async def answer(_: web.Request) -> web.StreamResponse:
        if message:
            return enveloped(None, status, message)
        return web.Response(status=status, text=text, content_type=content_type, headers={"Location": "/elsewhere"})

    return answer


class TapisService(FailingService):
    """The service. `asked` are the requests in order; `jobs` are those that it has, newest first."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, Any]] = []
        self.logins = 0
        self.apps: dict[tuple[str, str], dict[str, Any]] = {
            APP: {
                "id": APP[0],
                "version": APP[1],
                "jobAttributes": {"parameterSet": {"appArgs": [{"name": "pattern", "arg": "x"}]}},
                "notes": {"mixed": [1, {"a": [[1], [2]]}], "self": 1, "get": 2},
            }
        }
        self.life = 14400

    def job(self, uuid: str) -> dict[str, Any]:
        """The job."""
        return next(job for job in self.jobs if job["uuid"] == uuid)

    def add_job(self, **given: Any) -> dict[str, Any]:
        """A job, as after its submission."""
        number = len(self.jobs) + 1
        job = {
            "id": number,
            "uuid": f"{number:08}-6a5d-4b8c-007",
            "status": "PENDING",
            "owner": USER[0],
            "created": "2026-01-01T00:00:00.000000Z",
            "lastMessage": "Job created",
            **given,
        }
        self.jobs.insert(0, job)
        return job

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if (request.method, request.path) == ("POST", "/v3/oauth2/tokens"):
            return await self._token(request)
        if request.headers.get("X-Tapis-Token") not in self.valid:
            return enveloped(None, 401, "TAPIS_SECURITY_JWT_EXPIRED")
        return await self._serve(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        match request.path.strip("/").split("/"):
            case ["v3", "apps", name, version]:
                if (name, version) in self.hidden:
                    return enveloped(None, 403, "APPLIB_UNAUTH")
                found = self.apps.get((name, version))
                return enveloped(found) if found else enveloped(None, 404, "APPAPI_NOT_FOUND")
            case ["v3", "jobs", "submit"] if request.method == "POST":
                return await self._submit(request)
            case ["v3", "jobs", "list"]:
                assert request.query["orderBy"] == "created(desc)"
                page = self.jobs[: int(request.query["limit"])]
                return enveloped([{name: job[name] for name in _SUMMARY if name in job} for job in page])
            case ["v3", "jobs", uuid]:
                jobs = [job for job in self.jobs if job["uuid"] == uuid]
                return enveloped(jobs[0]) if jobs else enveloped(None, 404, "JOBS_JOB_NOT_FOUND")
        return enveloped(None, 404, "Not found")

    async def _submit(self, request: web.Request) -> web.Response:
        wanted = json.loads(await request.read())
        jsonschema.validate(wanted, job_schema())
        self.requests.append(wanted)
        if (wanted["appId"], wanted["appVersion"]) not in self.apps:
            return enveloped(None, 400, "JOBS_APP_NOT_FOUND")
        return enveloped(self.add_job(**wanted), 201)

    async def _token(self, request: web.Request) -> web.Response:
        grant = json.loads(await request.read())
        self.logins += 1
        assert "X-Tapis-Token" not in request.headers
        if (grant.get("username"), grant.get("password")) != USER or grant["grant_type"] != "password":
            return enveloped(None, 400, "Invalid username/password combination")
        access = f"access-{self.logins}"
        self.valid.add(access)
        token = {"access_token": access, "expires_at": "2026-01-01T04:00:00", "expires_in": self.life, "jti": "j"}
        return enveloped({"access_token": token}, 201)

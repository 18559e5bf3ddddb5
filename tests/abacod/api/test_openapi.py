"""The OpenAPI document says of each route what the table says, and nothing else; the page shows it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from openapi_spec_validator import openapi_v31_spec_validator
from pydantic import BaseModel, Field

from abacod.api.calls import FOLLOWS_DIALECT, Need, Route
from abacod.api.docs_page import POLICY, page
from abacod.api.openapi import V2, V3, document, summary_of
from abacod.api.reply import Compat
from abacod.api.schemas import Schemas
from tests.abacod.api.serving import Serving
from tests.described import TABLES, check_answer, described

ACTOR_ROUTES, OTHER_ROUTES = TABLES
EVERY_ROUTE = [*ACTOR_ROUTES, *OTHER_ROUTES]


def operations(compat: Compat = "documented") -> dict[tuple[str, str], dict[str, Any]]:
    """Each operation of the document by method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in described(compat)["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("compat", ["documented", "abaco"])
def test_the_document_is_valid(compat: Compat) -> None:
    assert not list(openapi_v31_spec_validator.iter_errors(described(compat)))


def test_the_document_has_every_route_and_no_other() -> None:
    served = {(route.method, prefix + route.path.rstrip("/")) for prefix in (V3, V2) for route in ACTOR_ROUTES}
    assert set(operations()) == served | {(route.method, route.path) for route in OTHER_ROUTES}


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("route", EVERY_ROUTE, ids=lambda route: f"{route.method} {route.path}")
def test_every_handler_says_in_a_sentence_what_it_does(route: Route) -> None:
    summary, _ = summary_of(route.handler)
    assert summary.endswith("."), (
        f"give {route.handler.__qualname__} the docstring '{route.method} {route.path}: Do it.'"
    )


def test_every_parameter_of_a_path_is_explained() -> None:
    for where, operation in operations().items():
        for parameter in operation["parameters"]:
            assert parameter["in"] != "path" or parameter.get("description"), f"{where}: {parameter['name']}"


def test_readers_are_not_told_where_the_code_has_its_rules_from() -> None:
    assert not re.search(r"\((spec|seeds)\b", str(described("documented")))


def test_what_was_created_and_what_is_forbidden_depend_on_the_switch() -> None:
    assert "201" in operations()["POST", V3]["responses"]
    assert "403" in operations()["POST", V3]["responses"]
    old = operations("abaco")["POST", V3]["responses"]
    assert "200" in old
    assert not {"201", "403"} & set(old)


def test_only_the_names_at_the_top_of_a_result_are_in_camel_case() -> None:
    schemas = described("documented")["components"]["schemas"]
    assert "default_environment" in schemas["ActorShown"]["properties"]
    assert "defaultEnvironment" in schemas["ActorShown.v2"]["properties"]
    assert schemas["ActorShown.v2"]["properties"]["mounts"] == schemas["ActorShown"]["properties"]["mounts"]
    sent = operations()["POST", f"{V2}/{{actor}}/messages"]["responses"]["200"]
    assert sent == operations()["POST", f"{V3}/{{actor}}/messages"]["responses"]["200"]


class Inner(TypedDict):
    """What is inside."""

    some_name: str


class Outer(TypedDict):
    """All kinds of fields (spec/nothing 1)."""

    other_name: Annotated[int | None, Field(description="A number.")]
    may_miss: NotRequired[list[Inner]]
    same_way: Annotated[list[Inner], Field(json_schema_extra={FOLLOWS_DIALECT: True})]
    by_name: dict[str, Inner]


def test_a_typed_dict_becomes_a_schema_that_allows_nothing_else() -> None:
    schemas = Schemas()
    assert schemas.of(list[Outer]) == {"type": "array", "items": {"$ref": "#/components/schemas/Outer"}}
    inner = {"$ref": "#/components/schemas/Inner"}
    assert schemas.components["Outer"] == {
        "type": "object",
        "description": "All kinds of fields.",
        "properties": {
            "other_name": {"anyOf": [{"type": "integer"}, {"type": "null"}], "description": "A number."},
            "may_miss": {"type": "array", "items": inner},
            "same_way": {"type": "array", "items": inner},
            "by_name": {"type": "object", "additionalProperties": inner},
        },
        "required": ["other_name", "same_way", "by_name"],
        "additionalProperties": False,
    }


def test_names_inside_follow_the_dialect_only_where_the_type_says_so() -> None:
    schemas = Schemas()
    schemas.of(Outer, camel=True)
    properties = schemas.components["Outer.v2"]["properties"]
    assert list(properties) == ["otherName", "mayMiss", "sameWay", "byName"]
    assert properties["sameWay"]["items"]["$ref"].endswith("/Inner.v2")
    assert properties["mayMiss"]["items"]["$ref"].endswith("/Inner")
    assert list(schemas.components["Inner.v2"]["properties"]) == ["someName"]


class Asked(BaseModel):
    """Something."""

    how_many: int = Field(description="How many.")
    title: str | None = None


def test_fields_of_a_request_that_has_no_body_are_query_parameters() -> None:
    async def handler(_: Any) -> Any: ...

    route = Route("GET", "/things", handler, Need.USER, takes=Asked, gives=None)
    operation = document([], [route], "documented", "http://x")["paths"]["/things"]["get"]
    assert "requestBody" not in operation
    assert operation["parameters"] == [
        {
            "name": "how_many",
            "in": "query",
            "required": True,
            "schema": {"type": "integer"},
            "description": "How many.",
        },
        {
            "name": "title",
            "in": "query",
            "required": False,
            "schema": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
    ]


# --- the check that all tests of the API make ----------------------------------------------------------------------------

GOOD = b'{"message": "m", "result": {"alive": true}, "status": "success", "version": "1"}'
JSON = {"Content-Type": "application/json"}


def test_an_answer_that_the_document_allows_passes() -> None:
    check_answer("documented", "GET", "/healthz?a=b", 200, JSON, GOOD)


@pytest.mark.parametrize(
    ("path", "status", "headers", "body"),
    [
        ("/healthz", 201, JSON, GOOD),
        ("/healthz", 404, JSON, GOOD),
        ("/nowhere", 200, JSON, GOOD),
        ("/healthz", 200, {"Content-Type": "text/plain"}, GOOD),
        ("/healthz", 200, JSON, GOOD.replace(b"true", b"false")),
        ("/healthz", 200, JSON, GOOD.replace(b"true", b'true, "more": 1')),
        ("/healthz", 200, JSON, GOOD.replace(b'"alive"', b'"dead"')),
        ("/healthz", 200, JSON, GOOD.replace(b"success", b"error")),
        ("/healthz", 503, JSON, GOOD.replace(b"success", b"error")),
        ("/v3/oauth2/userinfo", 401, JSON, GOOD.replace(b"success", b"error")),
    ],
)
def test_an_answer_that_the_document_does_not_allow_fails(
    path: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    with pytest.raises(AssertionError):
        check_answer("documented", "GET", path, status, headers, body)


# --- over HTTP -----------------------------------------------------------------------------------------------------------


async def test_the_document_is_served_to_everybody(served: Serving) -> None:
    for _ in range(2):
        async with served.session.get(f"{served.url}/openapi.json") as response:
            assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
            shown = await response.json()
    assert shown["servers"] == [{"url": served.url}]
    assert shown["paths"].keys() == described("documented")["paths"].keys()
    assert shown["paths"][V3]["get"]["summary"].startswith("List")


class Page(HTMLParser):
    """What a page refers to, and whether each of its elements ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_needs_nothing_from_elsewhere(served: Serving) -> None:
    async with served.session.get(f"{served.url}/docs") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert response.headers["Content-Security-Policy"] == POLICY
        text = await response.text()
    shown = Page(text)
    assert not shown.open
    assert "script" not in shown.tags
    assert all(link[1:] in shown.ids for link in shown.links if link not in ("openapi.json", "data:,"))
    assert len(set(shown.ids)) == len(shown.ids)
    assert {operation["operationId"] for operation in operations().values()} <= set(shown.ids)


def test_the_page_may_use_its_own_style() -> None:
    style = page(described("documented")).partition("<style>")[2].partition("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in POLICY

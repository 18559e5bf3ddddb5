from __future__ import annotations

import json

import pytest

from reactors.pipelinejobs.validation import names, schema
from tests.abacod.api.serving import Serving


async def test_schemas_are_listed(served: Serving) -> None:
    listed = (await served.nobody.get("/schemas", expect=200)).result
    assert [each["name"] for each in listed] == list(names())
    link = next(each["link"] for each in listed if each["name"] == "agave_pipelinejob")
    assert link.endswith("/schemas/agave_pipelinejob.json")


async def test_a_schema_is_served_as_it_is(served: Serving) -> None:
    async with served.session.get(served.url + "/schemas/agave_pipelinejob.json") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/schema+json"
        assert json.loads(await response.read()) == schema("agave_pipelinejob")


@pytest.mark.parametrize(
    "name", ["nope.json", "agave_pipelinejob", "..%2Fpyproject.json", "%00.json", ".json", "README.md"]
)
async def test_nothing_else_is_served(served: Serving, name: str) -> None:
    await served.nobody.get(f"/schemas/{name}", expect=404)

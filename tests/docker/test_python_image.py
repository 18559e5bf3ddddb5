"""The image with Python runs what it is given."""

from __future__ import annotations

import pytest

from tests.docker.conftest import Docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(60)]

PROGRAM = """
import os, tapipy.tapis
from tapipy.actors import get_context
print(os.getuid(), get_context().raw_message)
os.system("id -g")
"""


async def test_any_user_may_run_it_and_finds_tapipy(docker: Docker, python_image: str) -> None:
    outcome, output = await docker.run(
        "", image=python_image, user="1234:5678", environment={"PROGRAM": PROGRAM, "MSG": "hello"}
    )

    assert sorted(output.splitlines()) == ["1234 hello", "5678"]
    assert outcome.exit_code == 0

"""The SDK by itself: what its wheel has, what it needs, and which Pythons read it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import abacod
from reactors.runtime import subschemas

REACTORS = Path(__file__).resolve().parents[3] / "reactors"
SOURCES = sorted([REACTORS / "__init__.py", *(REACTORS / "runtime").rglob("*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REACTORS)))
def test_python_3_8_reads_it(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text, feature_version=(3, 8))
    assert "from __future__ import annotations" in text or not any(
        isinstance(node, ast.AnnAssign) for node in tree.body
    )
    # Newer spellings of types are for annotations only; 3.8 cannot evaluate them, as a base class or an alias.
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "collections.abc", f"{path}: {ast.unparse(node)} cannot be subscripted in 3.8"


@pytest.mark.timeout(60)
def test_the_wheel_has_the_runtime_alone_and_works_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--disable-pip-version-check", "--target", tmp_path / "site", REACTORS], check=True)
    installed = {path.name for path in (tmp_path / "site" / "reactors").iterdir() if path.name != "__pycache__"}
    assert installed == {"__init__.py", "py.typed", "runtime"}
    program = (
        "import sys; from reactors.runtime import Reactor; assert 'site' in sys.modules['reactors'].__file__;"
        "assert not {'requests', 'yaml', 'jsonschema', 'abacod'} & set(sys.modules);"
        "rx = Reactor(); assert rx.validate_message({}, {'type': 'object'}, permissive=False); rx.on_success('works')"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "MSG": "{}", "_abaco_actor_id": "me"}
    ended = subprocess.run(
        [sys.executable, "-c", program], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.stderr == "me INFO works\n"


def test_its_version_is_that_of_the_daemon() -> None:
    project = tomllib.loads((REACTORS / "pyproject.toml").read_text())["project"]
    assert project["version"] == abacod.__version__


@pytest.mark.parametrize("name", subschemas.SUBSCHEMAS)
def test_its_shared_schemas_are_those_of_the_system(name: str) -> None:
    system = json.loads((REACTORS.parent / "schemas" / name).read_text())
    ours = dict(subschemas.SUBSCHEMAS[name])
    for schema in (system, ours):
        schema["enum"] = sorted(schema.get("enum", ()))
    assert ours == {key: system[key] for key in ours}

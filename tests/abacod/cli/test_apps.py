from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from abacod.cli.main import app as cli


def run(data: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["apps", *arguments, "--data-dir", str(data)])
    # A command sets up the log on a standard error that ends with it.
    structlog.reset_defaults()
    return result.exit_code, result.output


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "app.json"
    path.write_text(json.dumps({"name": "wc", "version": "0.1", "image": "alpine", **fields}))
    return path


def test_an_app_is_registered_changed_listed_shown_and_removed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (tmp_path / "run.sh").write_text("wc $text")
    file = written(tmp_path, templatePath="run.sh", revision=2)
    assert run(data, "add", str(file)) == (0, "Registered app wc-0.1u2, revision 1, in tenant dev.\n")
    assert run(data, "add", str(file)) == (0, "Registered app wc-0.1u2, revision 2, in tenant dev.\n")
    assert run(data, "list")[1].splitlines()[1].split()[:2] == ["wc-0.1u2", "2"]
    shown = json.loads(run(data, "show", "wc-0.1u2")[1])
    assert (shown["id"], shown["template"], shown["image"]) == ("wc-0.1u2", "wc $text", "alpine")
    assert run(data, "remove", "wc-0.1u2")[0] == 0
    assert run(data, "remove", "wc-0.1u2") == (1, "abacod: There is no app wc-0.1u2.\n")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"version": "x"}, "id: use up to 64"),
        ({"name": "a" * 64}, "id: use up to 64"),
        ({"name": None}, "give the id, or name and version"),
        ({"image": "a b"}, "image: this is no name"),
        ({"engine": "local", "image": None}, "image: name the image"),
        ({"engine": "slurm"}, "engine: "),
        ({"template": "x", "command": ["y"]}, "template: a template is run instead"),
        ({"template": "a\0"}, "template: it has a character"),
        ({"command": "x"}, "command: "),
        ({"inputs": [{"id": "a-b"}]}, "a-b: the name becomes a variable"),
        ({"inputs": [{"id": "x"}], "parameters": [{"id": "x"}]}, "the id x is there twice"),
        ({"parameters": [{"id": "AGAVE_JOB_ID"}]}, "the server sets this variable"),
        ({"parameters": [{"id": "_abaco_x"}]}, "the server sets this variable"),
        ({"parameters": [{"id": "x", "value": {"type": "list"}}]}, "parameters.0.value.type"),
        ({"parameters": [{"id": "x", "value": {"type": "enumeration"}}]}, "needs its values"),
        ({"parameters": [{"id": "x", "value": {"validator": "("}}]}, "cannot be used"),
        ({"parameters": {}}, "parameters: "),
        ({"memory": "lots"}, "memory: "),
        ({"cpus": 0}, "cpus: "),
        ({"defaultMaxRunTime": "soon"}, "defaultMaxRunTime: "),
        ({"environment": {"MSG": "x"}}, "the server sets this variable"),
        ({"templatePath": "none.sh"}, "Cannot read"),
        ({"templatePath": 1}, "templatePath: give the path"),
    ],
)
def test_a_description_that_is_wrong_is_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    code, output = run(tmp_path / "data", "add", str(written(tmp_path, **fields)))
    assert (code, said in output) == (1, True), output


@pytest.mark.parametrize(
    ("text", "said"), [("[", "not valid JSON"), ("[]", "no JSON object"), ("[" * 10**6, "nested too")]
)
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "app.json").write_text(text)
    code, output = run(tmp_path / "data", "add", str(tmp_path / "app.json"))
    assert (code, said in output) == (1, True), output


def test_enumerations_may_have_labels(tmp_path: Path) -> None:
    values = [{"fast": "Fast"}, "slow", 3]
    file = written(tmp_path, parameters=[{"id": "mode", "value": {"type": "enumeration", "enum_values": values}}])
    assert run(tmp_path / "data", "add", str(file))[0] == 0

"""Settings from files and the environment (spec/pipelinejobs 8.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from reactors.runtime import SettingsInvalid
from reactors.runtime.settings import load_settings

_ROOT = """
mongodb: {authn: ~, database: catalog}
pipelines: {job_manager_id: root, job_manager_nonce: ~, deep: {er: ~}, number: 1}
plain: text
"""


@pytest.fixture
def directories(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "root", tmp_path / "here"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "config.yml").write_text(_ROOT)
    return folders


def test_the_later_file_wins_key_by_key(directories: list[Path]) -> None:
    (directories[1] / "config.yml").write_text("pipelines: {job_manager_id: here}\nlogs: {level: INFO}\n")
    settings = load_settings({}, directories=directories)
    assert settings.pipelines.job_manager_id == "here"
    assert settings.pipelines.number == 1
    assert settings.mongodb.database == "catalog"
    assert settings.logs.level == "INFO"


def test_without_a_file_there_are_the_defaults(tmp_path: Path) -> None:
    assert load_settings({}, directories=[tmp_path]).logs.level == "DEBUG"


def test_variables_replace_nulls_and_texts_that_are_there(directories: list[Path]) -> None:
    variables = {
        "_REACTOR_MONGODB_AUTHN": "secret",
        "_REACTOR_PIPELINES_JOB_MANAGER_ID": "other",
        "_REACTOR_PIPELINES_NUMBER": "2",
        "_REACTOR_PIPELINES_DEEP_ER": "too deep",
        "_REACTOR_PIPELINES_NEW": "not there",
        "_REACTOR_PLAIN": "changed",
    }
    settings = load_settings(variables, directories=directories)
    assert settings.mongodb.authn == "secret"
    assert settings.pipelines == {
        "job_manager_id": "other",
        "job_manager_nonce": None,
        "deep": {"er": None},
        "number": 1,
    }
    assert settings.plain == "changed"
    assert load_settings({"MINE_PLAIN": "mine"}, "mine", directories=directories).plain == "mine"


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "just text", "!!python/object:os.system {}"])
def test_a_file_that_is_no_mapping_is_refused_by_its_name(directories: list[Path], text: str) -> None:
    (directories[1] / "config.yml").write_text(text)
    with pytest.raises(SettingsInvalid, match=r"here/config\.yml"):
        load_settings({}, directories=directories)

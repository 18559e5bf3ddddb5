from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from abacod.config import Settings
from abacod.config_section import Section
from abacod.errors import ConfigError
from abacod.settings_file import load_settings


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ABACOD_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "abacod.toml"


def sections(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, section
    for name, field in section.model_fields.items():
        if isinstance(field.default, Section):
            yield from sections(type(field.default), f"{prefix}{name}.")


def test_flags_win_over_the_environment_and_that_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('[server]\nhost = "from-file"\nport = 1\nlist_limit = 11')
    monkeypatch.setenv("ABACOD_SERVER__HOST", "from-environment")
    monkeypatch.setenv("ABACOD_SERVER__PORT", "2")
    server = load_settings(file, server={"port": 3, "host": None}).server
    assert (server.port, server.host, server.list_limit) == (3, "from-environment", 11)
    assert server.drain_seconds == 30


def test_without_anything_given_there_are_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(None, data_dir=None, server={"host": None, "port": None})
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.data_dir == tmp_path / "abacod-data"
    assert settings.tenants == ("dev",)


@pytest.mark.parametrize("source", ["file", "environment", "flag"])
def test_the_data_directory_is_absolute_wherever_it_comes_from(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file.write_text('data_dir = "here"' if source == "file" else "")
    if source == "environment":
        monkeypatch.setenv("ABACOD_DATA_DIR", "here")
    settings = load_settings(file, data_dir=Path("here") if source == "flag" else None)
    assert settings.data_dir == tmp_path / "here"


def test_everything_of_the_daemon_lies_in_the_data_directory(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    assert settings.database_path == tmp_path / "abacod.db"
    assert settings.signing_key_path == tmp_path / "signing-key.pem"
    assert settings.sealing_key_path == tmp_path / "sealing-key"
    assert settings.messages_dir == tmp_path / "messages"
    assert settings.lock_path == tmp_path / "abacod.lock"


def test_a_public_url_loses_the_slash_at_its_end() -> None:
    assert load_settings(server={"public_url": "https://lab.example.org/"}).public_url == "https://lab.example.org"


def test_the_default_tenant_is_one_of_the_tenants() -> None:
    settings = load_settings(auth={"default_tenant": "lab", "tenants": ("prod", "lab")})
    assert settings.tenants == ("lab", "prod")


def test_lists_and_tables_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABACOD_AUTH__TENANTS", '["lab", "prod"]')
    monkeypatch.setenv("ABACOD_AUTH__HOSTS", '{"lab.example.org": "lab"}')
    settings = load_settings()
    assert settings.auth.tenants == ("lab", "prod")
    assert settings.auth.hosts == {"lab.example.org": "lab"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[server]\nprot = 1", "server.prot"),
        ("prot = 1", "prot"),
        ("[srever]\nport = 1", "srever"),
        ('[server]\nport = "many"', "server.port"),
        ("[server]\nport = 65536", "server.port"),
        ("[server]\nport = 1\nport = 2", "abacod.toml"),
        ('[engine]\npull_policy = "never"', "engine.pull_policy"),
        ('[[engine.registry_logins]]\nregistry = "a"\nusername = "b"', r"engine.registry_logins.0.password"),
        ("[logs]\nflush_seconds = 0\nmax_bytes = 0", r"logs.max_bytes.*logs.flush_seconds"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(file: Path, content: str, named: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match=named):
        load_settings(file)


def test_what_is_wrong_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABACOD_SERVER__PROT", "1")
    with pytest.raises(ConfigError, match=r"server\.prot"):
        load_settings()


@pytest.mark.parametrize("content", [None, b"\xff", b"no = toml ="])
def test_a_file_that_cannot_be_read_is_named(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"Cannot read the configuration file .*abacod\.toml"):
        load_settings(file)


def test_settings_cannot_be_changed_later() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.compat = "abaco"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1  # type: ignore[misc]


def test_passwords_are_not_shown(file: Path) -> None:
    file.write_text('[[engine.registry_logins]]\nregistry = "a"\nusername = "b"\npassword = "hunter2"')
    settings = load_settings(file)
    assert "hunter2" not in f"{settings!r}{settings}"
    assert settings.engine.registry_logins[0].password == SecretStr("hunter2")


def test_every_setting_has_a_line_of_help_and_a_valid_default() -> None:
    for prefix, section in sections(Settings):
        for name, field in section.model_fields.items():
            if not isinstance(field.default, Section):
                assert field.description, f"{prefix}{name}"
                assert "\n" not in field.description
        section.__pydantic_validator__.validate_python(section().model_dump())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"default": 75, "special": 75}),
        ('[workers]\nqueues = ["gpu"]', {"default": 75, "special": 75, "gpu": 75}),
        ("[workers.queues.gpu]\nmax_workers = 2", {"default": 75, "special": 75, "gpu": 2}),
        (
            "[workers]\nmax_per_host = 9\n[workers.queues]\nspecial.max_workers = 99\nlong = {}",
            {"special": 9, "long": 9},
        ),
    ],
)
def test_queues_are_a_table_or_a_list_beside_the_usual_two(file: Path, text: str, expected: dict[str, int]) -> None:
    file.write_text(text)
    workers = load_settings(file).workers
    assert {"default", "special", *expected} == set(workers.queues)
    assert {name: workers.queue_limit(name) for name in expected} == expected


def test_queues_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABACOD_WORKERS__QUEUES", '{"gpu": {"max_workers": 1}}')
    assert load_settings(None).workers.queue_limit("gpu") == 1


@pytest.mark.parametrize("text", ["gpu = 1", "gpu = {max_workers = 0}", "gpu = {workers = 1}"])
def test_a_wrong_queue_is_named(file: Path, text: str) -> None:
    file.write_text(f"[workers.queues]\n{text}")
    with pytest.raises(ConfigError, match=r"workers\.queues\.gpu"):
        load_settings(file)

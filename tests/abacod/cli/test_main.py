from __future__ import annotations

import asyncio
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import argon2
import jwt
import pytest
import structlog
import typer
from typer.testing import CliRunner

from abacod import __version__
from abacod.cli import main as cli
from abacod.clock import SystemClock
from abacod.config import AuthSettings, Settings, StoreSettings
from abacod.errors import BadRequest, NotAuthenticated
from abacod.ids import TenantId, Username
from abacod.services import accounts as accounts_module
from abacod.services.accounts import Accounts
from abacod.services.pipelinejobs.document_tokens import DocumentTokens
from abacod.services.sealing import Seal
from abacod.services.tokens import SigningKey, Tokens
from abacod.store import users
from abacod.store.database import Database, beside_daemon

REPOSITORY = Path(__file__).parents[3]
DEV = TenantId("dev")


class Outcome:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


Abacod = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _quick_and_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("ABACOD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(accounts_module, "_hasher", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    yield
    # Commands send the log to a standard error that is gone when they end.
    structlog.reset_defaults()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def abacod(data_dir: Path) -> Abacod:
    """Runs a command on the data directory of the test."""

    def run(*arguments: str, typed: str = "", anywhere: bool = False) -> Outcome:
        where = [] if anywhere else ["--data-dir", str(data_dir)]
        result = CliRunner().invoke(cli.app, [*arguments, *where], input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def with_alice(abacod: Abacod) -> Abacod:
    added = abacod("users", "add", "alice", "--role", "abaco_admin", "--password-stdin", typed="secret\n")
    assert added.code == 0, added
    return abacod


def stored_hash(data_dir: Path, name: str = "alice") -> str:
    with beside_daemon(data_dir / "abacod.db", StoreSettings()) as connection:
        return users.password_hash(connection, DEV, Username(name)) or ""


def is_password(data_dir: Path, text: str) -> bool:
    try:
        return argon2.PasswordHasher().verify(stored_hash(data_dir), text)
    except argon2.exceptions.VerifyMismatchError:
        return False


# --- users -----------------------------------------------------------------------------------------------------------


def test_a_user_is_added_with_roles_and_ids(abacod: Abacod, data_dir: Path) -> None:
    roles = ("--role", "abaco_admin", "--role", "abaco_privileged")
    added = abacod("users", "add", "alice", *roles, "--uid", "1000", "--gid", "100", "--password-stdin", typed="s\n")
    assert (added.code, added.out) == (0, "Added user alice to tenant dev.\n")
    with beside_daemon(data_dir / "abacod.db", StoreSettings()) as connection:
        user = users.get(connection, DEV, Username("alice"))
    assert user.roles == frozenset({"abaco_admin", "abaco_privileged"})
    assert (user.uid, user.gid) == (1000, 100)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("typed", "password"),
    [("secret\n", "secret"), ("secret", "secret"), (" a b \r\n", " a b "), ("first\nsecond\n", "first")],
)
def test_the_password_is_one_line_of_standard_input(abacod: Abacod, data_dir: Path, typed: str, password: str) -> None:
    abacod("users", "add", "alice", "--password-stdin", typed=typed)
    assert is_password(data_dir, password)


def test_a_password_is_not_read_from_a_pipe_unasked(abacod: Abacod, data_dir: Path) -> None:
    refused = abacod("users", "add", "alice", typed="secret\n")
    assert refused.code == 1
    assert "use --password-stdin" in refused.err
    assert not data_dir.exists()


def test_on_a_terminal_the_password_is_asked_for_twice_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    asked: list[dict[str, Any]] = []

    def answer(_text: str, **how: Any) -> str:
        asked.append(how)
        return "secret"

    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(typer, "prompt", answer)
    assert cli._password(from_stdin=False) == "secret"
    assert asked == [{"hide_input": True, "confirmation_prompt": True}]
    monkeypatch.undo()
    with pytest.raises(BadRequest):
        cli._password(from_stdin=False)


@pytest.mark.parametrize(
    ("arguments", "typed", "problem"),
    [
        (("alice",), "secret\n", "has a user alice already"),
        (("bob",), "\n", "password is empty"),
        (("bob",), "", "password is empty"),
        (("a/b",), "secret\n", "no user name"),
        (("ABACO_WORLD",), "secret\n", "means everyone"),
        (("bob", "--tenant", "prod"), "secret\n", "Tenant prod is unknown"),
        (("bob", "--gid", "5"), "secret\n", "--gid needs --uid"),
    ],
)
def test_a_user_that_cannot_be_is_refused_in_one_line(
    with_alice: Abacod, arguments: tuple[str, ...], typed: str, problem: str
) -> None:
    refused = with_alice("users", "add", *arguments, "--password-stdin", typed=typed)
    assert refused.code == 1
    assert refused.out == ""
    assert refused.err.startswith("abacod: ")
    assert problem in refused.err
    assert refused.err.count("\n") == 1
    assert "secret" not in refused.err


def test_a_data_directory_that_cannot_be_made_is_refused(abacod: Abacod, data_dir: Path) -> None:
    data_dir.write_text("a file")
    refused = abacod("users", "add", "alice", "--password-stdin", typed="secret\n")
    assert refused.code == 1
    assert "Cannot make the data directory" in refused.err


def test_an_unknown_role_is_a_mistake_in_usage(abacod: Abacod, data_dir: Path) -> None:
    refused = abacod("users", "add", "alice", "--role", "root", "--password-stdin", typed="secret\n")
    assert refused.code == 2
    assert "root is no role; use abaco_admin or abaco_privileged" in refused.err
    assert not data_dir.exists()


def test_users_are_listed_in_columns(with_alice: Abacod, tmp_path: Path) -> None:
    config = tmp_path / "abacod.toml"
    config.write_text('[auth]\ntenants = ["laboratory"]')
    lab = ("--tenant", "laboratory", "--config", str(config))
    with_alice("users", "add", "bob", "--uid", "7", *lab, "--password-stdin", typed="secret\n")
    header, alice, bob = with_alice("users", "list").out.splitlines()
    assert header.split() == ["TENANT", "NAME", "ROLES", "UID", "GID", "CREATED"]
    assert alice.split()[:5] == ["dev", "alice", "abaco_admin", "-", "-"]
    assert bob.split()[:5] == ["laboratory", "bob", "-", "7", "-"]
    assert header.index("NAME") == alice.index("alice") == bob.index("bob")
    assert "alice" not in with_alice("users", "list", "--tenant", "laboratory").out


def test_a_password_is_changed(with_alice: Abacod, data_dir: Path) -> None:
    changed = with_alice("users", "passwd", "alice", "--password-stdin", typed="better\n")
    assert (changed.code, changed.out) == (0, "Changed the password of alice in tenant dev.\n")
    assert is_password(data_dir, "better")
    assert not is_password(data_dir, "secret")


def test_a_user_is_removed(with_alice: Abacod) -> None:
    assert with_alice("users", "remove", "alice").code == 0
    assert "alice" not in with_alice("users", "list").out


def test_roles_are_replaced(with_alice: Abacod) -> None:
    for options, roles in (
        (("--role", "abaco_privileged"), "abaco_privileged"),
        (
            ("--role", "abaco_privileged", "--role", "abaco_admin", "--role", "abaco_admin"),
            "abaco_admin, abaco_privileged",
        ),
        (("--none",), "none"),
    ):
        changed = with_alice("users", "roles", "alice", *options)
        assert (changed.code, changed.out) == (0, f"Roles of alice in tenant dev: {roles}.\n")
        listed = with_alice("users", "list").out.splitlines()[1].split()
        assert listed[2] == ("-" if roles == "none" else roles.replace(" ", ""))


@pytest.mark.parametrize("options", [(), ("--none", "--role", "abaco_admin"), ("--role", "emperor")])
def test_roles_that_are_not_clear_change_nothing(with_alice: Abacod, options: tuple[str, ...]) -> None:
    before = with_alice("users", "list").out
    assert with_alice("users", "roles", "alice", *options).code != 0
    assert with_alice("users", "list").out == before


@pytest.mark.parametrize(
    "command",
    [
        ("users", "remove"),
        ("users", "roles", "--none"),
        ("users", "passwd", "--password-stdin"),
        ("token",),
        ("token", "--tenant", "prod"),
    ],
)
def test_an_unknown_user_is_named(with_alice: Abacod, command: tuple[str, ...]) -> None:
    refused = with_alice(*command, "nobody", typed="secret\n")
    assert refused.code == 1
    assert refused.err.startswith("abacod: Tenant ")
    assert "has no user nobody" in refused.err


@pytest.mark.parametrize(
    "command",
    [
        ("users", "list"),
        ("users", "remove", "a"),
        ("users", "roles", "a"),
        ("users", "passwd", "a"),
        ("token", "a"),
        ("admin-token",),
        ("backup", "b"),
    ],
)
def test_a_mistyped_data_directory_is_told_and_not_made(
    abacod: Abacod, data_dir: Path, command: tuple[str, ...]
) -> None:
    refused = abacod(*command)
    assert refused.code == 1
    assert f"There is no database at {data_dir / 'abacod.db'}." in refused.err
    assert not data_dir.exists()


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_an_admin_token_is_all_that_is_printed_and_the_daemon_accepts_it(with_alice: Abacod, data_dir: Path) -> None:
    printed = with_alice("admin-token").out
    assert re.fullmatch(r"[0-9a-f]{16}\n", printed)
    daemon = DocumentTokens(Seal.at(data_dir / "sealing-key"), SystemClock())
    assert daemon.is_administrative(printed.strip())


def test_a_token_is_all_that_is_printed_and_the_daemon_accepts_it(with_alice: Abacod, data_dir: Path) -> None:
    printed = with_alice("token", "alice", "--ttl", "60")
    (line,) = printed.out.splitlines()
    tokens = Tokens(SigningKey.at(data_dir / "signing-key.pem"), AuthSettings(), "http://another-name:1", SystemClock())
    assert tokens.verify(line).username == "alice"
    claims = jwt.decode(line, tokens.public_key_pem, algorithms=["RS256"])
    assert claims["exp"] - claims["iat"] == 60
    assert claims["iss"] == "http://127.0.0.1:8000/v3/tokens"


def test_a_warning_does_not_get_into_the_token(with_alice: Abacod, data_dir: Path) -> None:
    with_alice("token", "alice")
    (data_dir / "signing-key.pem").chmod(0o644)
    printed = with_alice("token", "alice")
    assert printed.out.count("\n") == 1
    assert "key_exposed" in printed.err


def test_a_life_time_is_at_least_a_second(with_alice: Abacod) -> None:
    assert with_alice("token", "alice", "--ttl", "0").code == 2


@pytest.fixture
async def database(data_dir: Path) -> AsyncIterator[Database]:
    """What a running daemon holds open."""
    await asyncio.to_thread(data_dir.mkdir)
    opened = Database(data_dir / "abacod.db", StoreSettings(synchronous="OFF"))
    await opened.open()
    yield opened
    await opened.close()


async def test_what_is_done_beside_a_running_daemon_takes_effect(
    abacod: Abacod, data_dir: Path, database: Database
) -> None:
    tokens = Tokens(SigningKey.at(data_dir / "signing-key.pem"), AuthSettings(), "http://localhost", SystemClock())

    def accounts() -> Accounts:
        """A look without the memory of earlier looks, as a daemon has it a second later."""
        return Accounts(database, tokens, AuthSettings(), SystemClock())

    await asyncio.to_thread(abacod, "users", "add", "alice", "--password-stdin", typed="secret\n")
    alice = await accounts().login(DEV, Username("alice"), "secret")
    token = (await asyncio.to_thread(abacod, "token", "alice")).out.strip()
    assert (await accounts().caller_of(token)).username == alice.username

    await asyncio.to_thread(abacod, "users", "passwd", "alice", "--password-stdin", typed="better\n")
    with pytest.raises(NotAuthenticated):
        await accounts().login(DEV, Username("alice"), "secret")
    changed = await accounts().login(DEV, Username("alice"), "better")
    assert replace(changed, password_changed=None) == alice
    with pytest.raises(NotAuthenticated, match="password was changed"):
        await accounts().caller_of(token)
    token = (await asyncio.to_thread(abacod, "token", "alice")).out.strip()
    assert (await accounts().caller_of(token)).username == alice.username

    await asyncio.to_thread(abacod, "users", "remove", "alice")
    with pytest.raises(NotAuthenticated):
        await accounts().caller_of(token)


# --- the data directory and the settings -----------------------------------------------------------------------------


def test_a_backup_holds_the_users_and_only_its_owner_can_read_it(with_alice: Abacod, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert with_alice("backup", str(copy)).out == f"Wrote {copy}.\n"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with beside_daemon(copy, StoreSettings()) as connection:
        assert [user.username for user in users.listed(connection)] == ["alice"]


def test_the_database_is_not_replaced_by_its_own_backup(with_alice: Abacod, data_dir: Path) -> None:
    refused = with_alice("backup", str(data_dir / ".." / "data" / "abacod.db"))
    assert refused.code == 1
    assert "is the database itself" in refused.err
    assert "alice" in with_alice("users", "list").out


def test_the_settings_in_effect_are_shown_without_secrets(abacod: Abacod, tmp_path: Path, data_dir: Path) -> None:
    config = tmp_path / "abacod.toml"
    config.write_text(
        'server.port = 9000\nauth.tenants = ["lab"]\nruns.tasdirs = {alice = "/home/alice"}\n'
        '[[engine.registry_logins]]\nregistry = "r"\nusername = "u"\npassword = "hunter2"'
    )
    shown = abacod("check-config", "--config", str(config))
    assert shown.code == 0, shown
    assert shown.out.startswith("Configuration is valid.\n")
    lines = dict(line.split(" = ", 1) for line in shown.out.splitlines() if " = " in line)
    assert lines["server.port"].split("#")[0].strip() == "9000"
    assert lines["data_dir"].startswith(f'"{data_dir}"')
    assert lines["auth.tenants"].startswith('["lab"]')
    assert lines["server.public_url"].startswith("(not set)")
    assert lines["runs.tasdirs"].startswith('{"alice" = "/home/alice"}')
    assert lines["engine.registry_logins"].startswith('[{"registry" = "r", "username" = "u", "password" = "***')
    assert "hunter2" not in shown.out


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[server]\nprot = 1", "server.prot"),
        ('[auth.issuers]\n"https://elsewhere" = "/nowhere/key.pem"', "cannot read the key of https://elsewhere"),
    ],
)
def test_a_bad_configuration_is_refused_in_one_line(abacod: Abacod, tmp_path: Path, content: str, problem: str) -> None:
    config = tmp_path / "abacod.toml"
    config.write_text(content)
    refused = abacod("check-config", "--config", str(config))
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert problem in refused.err


def test_the_settings_page_is_up_to_date(abacod: Abacod) -> None:
    page = REPOSITORY / "docs" / "reference" / "settings.md"
    written = abacod("settings-reference", anywhere=True).out
    assert page.read_text() == written, "Run `abacod settings-reference > docs/reference/settings.md`."


# --- the daemon and the program --------------------------------------------------------------------------------------


def test_serve_runs_the_daemon_with_the_flags(abacod: Abacod, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Settings] = []
    app = ModuleType("abacod.app")
    app.serve = served.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "abacod.app", app)
    assert abacod("serve", "--host", "0.0.0.0", "--port", "0").code == 0  # noqa: S104 - only handed on
    assert abacod("serve").code == 0
    assert [(each.server.host, each.server.port) for each in served] == [("0.0.0.0", 0), ("127.0.0.1", 8000)]  # noqa: S104
    assert served[0].data_dir == data_dir


def test_the_version_is_shown(abacod: Abacod) -> None:
    assert abacod("--version", anywhere=True).out == f"abacod {__version__}\n"


def test_without_a_command_there_is_help(abacod: Abacod) -> None:
    shown = abacod(anywhere=True)
    assert "users" in shown.out + shown.err
    assert "settings-reference" not in shown.out + shown.err


def test_the_module_is_the_program_and_the_small_commands_do_not_load_the_daemon(tmp_path: Path) -> None:
    program = (
        "import sys, abacod.cli.main\n"
        "slow = {'aiohttp', 'aiodocker', 'abacod.app'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {slow}' if slow else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)
    command = [sys.executable, "-m", "abacod", "users", "list", "--data-dir", str(tmp_path / "none")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=REPOSITORY)
    assert ended.returncode == 1
    assert ended.stderr.startswith("abacod: There is no database")
    assert "Traceback" not in ended.stderr

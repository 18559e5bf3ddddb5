"""The bar that `abacod catalog load` draws on a terminal, seen from the terminal."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import Final

import pytest

from abacod.config import Settings, StoreSettings
from abacod.store.database import beside_daemon

_COMMAND: Final = "import sys; from abacod.cli.main import main; main()"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a database."""
    path = Settings(data_dir=tmp_path / "data").database_path
    path.parent.mkdir()
    with beside_daemon(path, StoreSettings()):
        pass
    return path.parent


def file_of(folder: Path, samples: int, parent: str = "experiment.tacc.big") -> Path:
    path = folder / "catalog.jsonl"
    children = ({"sample_id": f"sample.tacc.{n}", "child_of": [parent]} for n in range(samples))
    path.write_text("".join(f"{json.dumps(each)}\n" for each in ({"experiment_id": "experiment.tacc.big"}, *children)))
    return path


def seen(file: Path, data: Path, stop_at: str | None = None) -> tuple[int, str]:
    """Exit code, and all that came to the terminal, which is left as it was; ctrl-C comes once it shows `stop_at`."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(ours)
    command = [sys.executable, "-c", _COMMAND, "catalog", "load", str(file), "--data-dir", str(data)]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        text = ""
        while chunk := _read(ours):
            text += chunk
            if stop_at is not None and stop_at in text:
                stop_at = None
                process.send_signal(signal.SIGINT)
    assert termios.tcgetattr(ours) == before
    assert text.count(_HIDE) == text.count(_SHOW) == 1
    os.close(ours)
    return process.returncode, text


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:  # the last who had it open has closed it
        return ""


def test_each_bar_is_drawn_to_its_end_and_then_erased(data: Path, tmp_path: Path) -> None:
    code, text = seen(file_of(tmp_path, 3000), data)
    assert code == 0
    drawn, _, after = text.partition(_SHOW)
    bars = re.findall(r"(Checking|Comparing|Writing)[^\r\n]*?(\d+)%", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn))
    assert bars[-3:] == [("Checking", "100"), ("Comparing", "100"), ("Writing", "100")]
    assert after.count("\x1b[1A\x1b[2K") == 3
    assert "Loaded 3001 records: 3001 created, 0 updated, 0 unchanged." in after


def test_an_error_follows_the_erased_bar_and_nothing_is_loaded(data: Path, tmp_path: Path) -> None:
    code, text = seen(file_of(tmp_path, 3000, parent="experiment.tacc.none"), data)
    assert code == 1
    assert "catalog.jsonl, line 2: child_of: there is no experiment experiment.tacc.none" in text.partition(_SHOW)[2]
    assert "Loaded 3001 records: 3001 created" in seen(file_of(tmp_path, 3000), data)[1]


def test_ctrl_c_leaves_the_terminal_and_the_catalog_as_they_were(data: Path, tmp_path: Path) -> None:
    file = file_of(tmp_path, 5000)
    code, text = seen(file, data, stop_at="Comparing")
    assert code == 130
    assert "Loaded" not in text
    assert "Loaded 5001 records: 5001 created" in seen(file, data)[1]

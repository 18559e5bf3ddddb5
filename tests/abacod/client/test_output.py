from __future__ import annotations

import io
import json
import sys

import pytest

from abacod.client.output import Column, one_line, put_json, put_record, put_table, shown

ID = "JWpkNmBwKewYo"
COLUMNS = (Column("ID", whole=True), Column("NAME"), Column("STATUS", whole=True))


class Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard output, from now on in this test, is a terminal of 30 columns."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "30")
    return screen


def test_in_a_pipe_lines_are_plain_and_as_long_as_they_need_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(COLUMNS, [[ID, "ü" * 300, "READY"], ["x", None, "ERROR"]])
    assert capsys.readouterr().out.splitlines() == [
        "ID             NAME" + " " * 298 + "STATUS",
        f"{ID}  {'ü' * 300}  READY",
        "x              -" + " " * 301 + "ERROR",
    ]


def test_an_empty_table_has_its_head(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(COLUMNS, [])
    assert capsys.readouterr().out == "ID  NAME  STATUS\n"


def test_wide_characters_keep_the_columns_straight(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(COLUMNS, [["1", "名前", "READY"], ["2", "abcd", "READY"]])
    assert capsys.readouterr().out.splitlines()[1:] == ["1   名前  READY", "2   abcd  READY"]


def test_on_a_narrow_terminal_ids_are_whole_and_names_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    put_table(COLUMNS, [[ID, "a name that is long", "READY"]])
    shown_text = screen.getvalue()
    assert ID in shown_text
    assert "…" not in shown_text
    assert "\x1b[32mREADY" in shown_text


def test_no_colour_where_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    put_table(COLUMNS, [[ID, "name", "READY"]])
    assert "\x1b[32m" not in screen.getvalue()


def test_values_are_shown_on_one_line_and_cannot_steer_the_terminal() -> None:
    assert shown("a\n b\x1b]0;x\x07") == r"a b\x1b]0;x\x07"
    assert shown(None) == "-"
    assert shown(["ä", 1]) == '["ä", 1]'
    assert shown(True) == "true"
    assert one_line("\u202e\ud800") == r"\u202e\ud800"


def test_a_table_takes_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    put_table((Column("NAME"),), [["[red]x[/red] :smile:"]])
    assert capsys.readouterr().out.splitlines()[1] == "[red]x[/red] :smile:"


@pytest.mark.parametrize("result", [None, {}, {"ä": "\ud83d"}, [1, "名"], {"a": {"b": []}}])
def test_json_is_the_result_as_it_is(result: object, capsys: pytest.CaptureFixture[str]) -> None:
    put_json(result)
    assert json.loads(capsys.readouterr().out) == result


def test_a_record_is_shown_without_its_links(capsys: pytest.CaptureFixture[str]) -> None:
    put_record({"id": ID, "state": {"a": 1}, "_links": {"self": "x"}})
    assert capsys.readouterr().out == f'id     {ID}\nstate  {{"a": 1}}\n'

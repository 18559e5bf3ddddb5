from __future__ import annotations

import sqlite3

from abacod.store import facts


def test_a_data_directory_has_one_name_for_ever(tx: sqlite3.Connection) -> None:
    assert facts.answers(tx)
    name = facts.instance_id(tx)
    assert name == facts.instance_id(tx)
    assert len(name) == 16

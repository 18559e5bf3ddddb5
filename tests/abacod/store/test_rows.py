from __future__ import annotations

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from abacod.store.rows import insert_rows


@given(st.lists(st.tuples(st.text(alphabet="ab'\"?;ü", max_size=3), st.none() | st.integers(-9, 9)), max_size=200))
def test_all_rows_are_there_in_their_order_with_the_numbers_told(rows: list[tuple[str, int | None]]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE things (seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, count INTEGER)")
    insert_rows(connection, "things", ("name", "count"), [("first", 0)])
    numbers = insert_rows(connection, "things", ("name", "count"), rows)
    found = connection.execute("SELECT seq, name, count FROM things WHERE seq > 1 ORDER BY seq").fetchall()
    connection.close()
    assert found == [(number, *row) for number, row in zip(numbers, rows, strict=True)]

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from abacod.services.follow import LogText
from abacod.services.progress import TRUNCATED, decode


@given(
    log=st.one_of(st.binary(max_size=30), st.text(max_size=30).map(str.encode)),
    cuts=st.lists(st.integers(0, 30), max_size=5),
    truncated=st.booleans(),
)
def test_the_pieces_together_are_the_text_of_the_whole(log: bytes, cuts: list[int], truncated: bool) -> None:
    places = [0, *sorted(cuts), len(log)]
    pieces = [log[start:end] for start, end in pairwise(places)]
    if truncated:
        # The notice always comes in one piece, with the last of the log or alone.
        notice = TRUNCATED.encode()
        log += notice
        pieces[-1] += notice
    text = LogText()

    followed = "".join(text.feed(piece) for piece in pieces) + text.end()

    assert followed == decode(log)

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from abacod.runtime.logstream import Frames


def framed(payloads: list[bytes], stream: int = 1) -> bytes:
    """The payloads as an engine sends them."""
    return b"".join(struct.pack(">BxxxL", stream, len(payload)) + payload for payload in payloads)


def test_frames_of_both_streams_come_out_in_order() -> None:
    assert Frames().feed(framed([b"out "]) + framed([b"err"], stream=2)) == b"out err"


def test_a_frame_is_handed_on_before_it_is_complete() -> None:
    frames = Frames()

    assert frames.feed(framed([b"0123456789"])[:12]) == b"0123"
    assert frames.feed(b"456789") == b"456789"


@given(payloads=st.lists(st.binary(max_size=30), max_size=10), cuts=st.lists(st.integers(1, 20), min_size=1))
def test_the_pieces_a_stream_arrives_in_do_not_matter(payloads: list[bytes], cuts: list[int]) -> None:
    stream, frames, out, at, turn = framed(payloads), Frames(), b"", 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        out += frames.feed(stream[at : at + size])
        at, turn = at + size, turn + 1

    assert out == b"".join(payloads)

"""Many random sources at once give what numpy's own generator gives one by one."""

import numpy as np
import pytest

from gateway_sim.traffic.draw import Draw, Streams

KEYS = [0, 1, 77, (1 << 32) - 1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((7,), (1_383_602_400 * 10**9,)),
        ((0,), ()),
        (((1 << 63) - 1,), (0,)),
        ((5, 6), (1 << 40, 9)),
    ],
)
def test_streams_are_numpys_pcg64(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """G8: word for word, for keys of one and of two words, few and many."""
    streams = Streams(before, np.array(KEYS), after)
    limit = np.full(40, (1 << 63) - 25)
    for stream, key in enumerate(KEYS):
        drawn = streams.below(limit, np.full(40, stream), np.arange(40))
        assert drawn.tolist() == Draw(*before, key, *after).below(int(limit[0]), 40).tolist()


def test_any_word_can_be_had_alone() -> None:
    streams = Streams((3,), np.array([4]))
    asked = np.array([1_000, 0, 63, 64])
    drawn = streams.below(np.full(4, 1_000_003), np.zeros(4, np.int64), asked)
    whole = Draw(3, 4).below(1_000_003, 1_001)
    assert drawn.tolist() == whole[asked].tolist()


def test_nothing_is_drawn_of_no_stream() -> None:
    none = np.zeros(0, np.int64)
    assert Streams((1,), none).below(none, none, none).size == 0

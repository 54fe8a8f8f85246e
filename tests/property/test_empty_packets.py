"""Packets of length 0, as `count = "l4-payload"` makes of bare acknowledgements, against the naive twin."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.oracle
from tests.oracle.cases import Case, Packet
from tests.oracle.cases import play as oracle_play
from tests.oracle.directed import CASES
from tests.property.stories import stories
from tests.property.test_engine_oracle import assert_adds_up, assert_same
from tests.property.worlds import Way, play


def emptied(case: Case, every: int, first: int) -> Case:
    """The story with each `every`-th packet, from the `first` on, of length 0."""
    steps = []
    packets = 0
    for step in case.steps:
        empty = isinstance(step, Packet) and packets % every == first % every
        packets += isinstance(step, Packet)
        steps.append(replace(step, size_bytes=0) if empty and isinstance(step, Packet) else step)
    return replace(case, steps=steps)


@pytest.mark.parametrize("name", CASES)
def test_packets_of_length_0_in_directed_stories(name: str) -> None:
    """U3, B40, D1, D7, P2, P4"""
    for every, first in ((1, 0), (2, 0), (2, 1), (3, 1)):
        case = emptied(CASES[name], every, first)
        found = play(case, Way())
        assert_same(case, oracle_play(case, tests.oracle), found)
        assert_adds_up(case, found)


@given(case=stories(), every=st.integers(1, 4), first=st.integers(0, 3), split=st.integers(1, 40))
def test_packets_of_length_0_in_any_story(case: Case, every: int, first: int, split: int) -> None:
    """U3, B40, D1, D7, P2, P4, G8"""
    case = emptied(case, every, first)
    expected = oracle_play(case, tests.oracle)
    found = play(case, Way())
    assert_same(case, expected, found)
    assert_adds_up(case, found)
    assert_same(case, expected, play(case, Way(split, 2)))
    assert_same(case, expected, play(case, Way(split, 1, announced=True)))

"""Entries of the exempt list that overlap, in lists of any length."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from engine import config
from engine.config import exempt_rules


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    return [str(fault).removeprefix("f.toml:") for fault in config.check(text, "f.toml")]


ENDPOINTS = """
[exempt]
endpoint = [
  {{name = "a", prefixes = ["192.0.2.0/24", "2001:db8::/64"], protocol = "udp", ports = [53]}},
  {{name = "b", prefixes = [{}], protocol = "{}", ports = {}}},
]
"""


@pytest.mark.parametrize(
    ("prefixes", "protocol", "ports"),
    [
        ('"192.0.2.0/24"', "udp", "[53]"),
        ('"192.0.2.53"', "udp", "[52, 53]"),
        ('"192.0.0.0/16"', "any", "[53]"),
        ('"192.0.2.128/25"', "any", "[]"),
        ('"2001:db8::5"', "udp", "[]"),
    ],
)
def test_overlapping_exempt_prefixes_name_both_lines(
    prefixes: str, protocol: str, ports: str
) -> None:
    """B79, X2: overlapping exempt rules"""
    (line,) = told(ENDPOINTS.format(prefixes, protocol, ports))
    assert line == (
        "5:28: exempt.endpoint[1].prefixes[0]: "
        "overlaps the exempt prefix in line 4 for the same protocol and port"
    )


@pytest.mark.parametrize(
    ("prefixes", "protocol", "ports"),
    [
        ('"192.0.2.0/24"', "tcp", "[53]"),
        ('"192.0.2.0/24"', "udp", "[54]"),
        ('"192.0.3.0/24", "192.0.1.0/24"', "udp", "[53]"),
        ('"0.0.0.0/8", "2001:db8:0:1::/64"', "udp", "[53]"),
    ],
)
def test_exempt_prefixes_that_share_no_packet_are_fine(
    prefixes: str, protocol: str, ports: str
) -> None:
    """X2"""
    assert told(ENDPOINTS.format(prefixes, protocol, ports)) == []


def test_a_prefix_inside_two_others_is_told_once_and_siblings_are_passed() -> None:
    """X2"""
    text = '[[exempt.endpoint]]\nname = "{}"\nprefixes = [\n{}]\n'
    nested = '"10.0.0.0/9",\n"10.0.0.0/10",\n"10.64.0.0/10",\n"10.128.0.0/9",\n'
    lines = told(text.format("a", nested))
    assert [line.split(":")[0] for line in lines] == ["5", "6"]
    assert all("in line 4" in line for line in lines)


def test_an_endpoint_of_wrong_types_hides_nothing_else() -> None:
    lines = told(
        "[exempt]\nendpoint = [5,\n"
        '{name = 5, prefixes = "x", ports = 5},\n'
        '{name = "b", prefixes = [5, "x"], protocol = "sctp", ports = [true, 0]}]\n'
    )
    assert [line.split(": ")[:2] for line in lines] == [
        ["2:13", "exempt.endpoint[0]"],
        ["3:9", "exempt.endpoint[1].name"],
        ["3:23", "exempt.endpoint[1].prefixes"],
        ["3:36", "exempt.endpoint[1].ports"],
        ["4:26", "exempt.endpoint[2].prefixes[0]"],
        ["4:29", "exempt.endpoint[2].prefixes[1]"],
        ["4:46", "exempt.endpoint[2].protocol"],
        ["4:63", "exempt.endpoint[2].ports[0]"],
        ["4:69", "exempt.endpoint[2].ports[1]"],
    ]


def test_what_lies_in_several_entries_is_told_once() -> None:
    """B79, X2: one finding for each prefix, since all pairs would be as many as their square"""
    entry = '[[exempt.endpoint]]\nname = "e{}"\nprefixes = ["10.0.0.0/{}"]\nprotocol = "{}"\n'
    text = "".join(entry.format(k, 8 + k, "tcp" if k % 2 else "any") for k in range(20))
    lines = told(text)
    assert len(lines) == 19
    assert all("in line 3 for the same" in line for line in lines)
    # The later one in the file is at fault, also where it is the wider one.
    (line,) = told(entry.format(0, 24, "udp") + entry.format(1, 8, "udp"))
    assert line.startswith(
        "7:13: exempt.endpoint[1].prefixes[0]: overlaps the exempt prefix in line 3 "
    )


def test_ports_of_entries_between_others_are_seen() -> None:
    """B79, X2: an entry is held against all around it, not against the next one only"""
    entry = '[[exempt.endpoint]]\nname = "e{}"\nprefixes = ["10.0.0.0/{}"]\n{}\n'
    one = entry.format(1, 8, 'protocol = "tcp"\nports = [80]')
    between = entry.format(2, 9, 'protocol = "tcp"\nports = [81, 82]')
    other = entry.format(3, 9, 'protocol = "udp"')
    aside = entry.format(4, 10, 'protocol = "tcp"\nports = [83]')
    assert told(one + between + other + aside) == []
    (line,) = told(
        one + between + other + entry.format(5, 12, 'protocol = "tcp"\nports = [90, 80]')
    )
    assert "in line 3 " in line
    (line,) = told(one + between + other + entry.format(5, 12, 'protocol = "tcp"'))
    assert "in line 3 " in line
    (line,) = told(between + other + entry.format(5, 12, "ports = [7]"))
    assert "in line 8 " in line
    # What was left behind is not around any more.
    beside = '[[exempt.endpoint]]\nname = "e6"\nprefixes = ["11.0.0.0/8"]\n'
    assert told(one + between + other + aside + beside) == []


def calls(text: str) -> int:
    """Functions called by a check: what it costs, without a clock."""
    count = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        config.check(text, "f.toml")
    finally:
        sys.setprofile(None)
    return count


ENTRY = '[[exempt.endpoint]]\nname = "e{0}"\nprefixes = ["{1}"]\nports = [{2}]\nprotocol = "udp"\n'


def grows(net: Callable[[int], str], port: Callable[[int], int]) -> float:
    """How many times as much a list of a thousand entries costs as one of a hundred."""
    texts = ["".join(ENTRY.format(k, net(k), port(k)) for k in range(n)) for n in (0, 100, 1_000)]
    nothing, some, many = (calls(text) for text in texts)
    return (many - nothing) / (some - nothing)


@pytest.mark.parametrize(
    ("net", "port"),
    [
        (lambda k: f"10.{k >> 8}.{k & 255}.0/24", lambda k: 53),
        (lambda k: "10.0.0.0/8", lambda k: k + 1),
        (lambda k: "10.0.0.0/8", lambda k: 53),
        (lambda k: "10.0.0.0/8", lambda k: k % 7 + 1),
        (lambda k: "10.0.0.0/33", lambda k: 0),
    ],
    ids=["apart", "one prefix, other ports", "all the same", "seven ports", "all wrong"],
)
def test_a_list_ten_times_as_long_takes_ten_times_as_long(
    net: Callable[[int], str], port: Callable[[int], int]
) -> None:
    """B79: huge lists, whatever is in them; were it the square, it would be a hundred times"""
    assert 4 < grows(net, port) < 15


def test_a_look_at_every_other_entry_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """B79: a planted fault for the test above"""

    def every(around: Any, claim: Any) -> Any:
        meeting = [one for one in around._all if one.ports.intersection(claim.ports)]
        return meeting[0] if meeting else None

    monkeypatch.setattr(exempt_rules._Around, "meeting", every)
    assert grows(lambda k: "10.0.0.0/8", lambda k: k + 1) > 15


def test_ten_thousand_prefixes_and_ten_thousand_entries_of_one_prefix_are_fine() -> None:
    """B79, X2"""
    nets = ", ".join(f'"10.{k >> 8}.{k & 255}.0/24"' for k in range(10_000))
    assert told(f'[[exempt.endpoint]]\nname = "a"\nprefixes = [{nets}]\n') == []
    assert told("".join(ENTRY.format(k, "10.0.0.0/8", k + 1) for k in range(10_000))) == []

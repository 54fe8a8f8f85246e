"""Configuration and subscriber files against random texts and naive models."""

import datetime
import ipaddress
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from engine import config, subscribers
from engine.config.positions import Positions
from engine.subscribers import events, moment

SETTINGS = config.load(None)
KEYS = st.sampled_from(("a", "b", '"é x"', "'q'", "c-1", '"\\u0041"'))
SPACE = st.sampled_from(("", " ", "\t ", "  "))
LINES = st.sampled_from(("", "# é = 5\n", "\n", "\r\n"))


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    """A TOML value made of integers, in lists and tables."""
    kind = draw(st.sampled_from(("integer", "list", "table"))) if depth < 3 else "integer"
    if kind == "integer":
        return str(draw(st.integers(100, 999)))
    inner = [draw(values(depth + 1)) for _ in range(draw(st.integers(0, 3)))]
    if kind == "list":
        return "[" + ",".join(draw(LINES) + draw(SPACE) + one for one in inner) + "]"
    keys = draw(st.permutations(("x", "y.z", "'é'")))
    return "{" + ", ".join(f"{key} = {one}" for key, one in zip(keys, inner, strict=False)) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A TOML text; one that says a key twice is none, and left out by the test."""
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        keys = f"{draw(SPACE)}.{draw(SPACE)}".join(draw(st.lists(KEYS, min_size=1, max_size=3)))
        header = draw(st.sampled_from(("[{}]\n", "[[{}]]\n", "[ {} ] # c\n", "")))
        parts.append(header.format(keys))
        key = draw(KEYS) if header else keys
        parts.append(draw(LINES) + f"{draw(SPACE)}{key}{draw(SPACE)}={draw(SPACE)}")
        parts.append(draw(values()) + draw(st.sampled_from(("\n", "\r\n", " # é\n"))))
    return "".join(parts)


def leaves(
    raw: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """Path and value of every integer in a document."""
    if isinstance(raw, int):
        yield path, raw
    else:
        for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
            yield from leaves(value, (*path, key))


@example("[[a]]\n[[a.b]]\nc-1 = 101\n[a.b.a]\na = 102\n[[a]]\n[[a.b]]\na = 103\n")
@given(documents())
def test_every_value_is_found_where_it_stands(text: str) -> None:
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = text.split("\n")
    locate = Positions(text).locate
    for path, value in leaves(raw):
        line, column = locate(path, False)
        assert lines[line - 1][column - 1 :].startswith(str(value))


PIECES = st.sampled_from(
    (
        "[",
        "]",
        "=",
        '"',
        "'",
        "\n",
        "speed",
        "plan",
        ".",
        "slow",
        "1",
        "-",
        "{",
        "}",
        ",",
        "é",
        "\0",
    )
)
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("".join), documents())


@given(TEXTS)
def test_no_text_is_more_than_a_fault(text: str) -> None:
    """B79: every text is checked without an exception, and faults lie inside the text."""
    book = subscribers.Book(())
    faults = [
        *config.check(text, "c"),
        *subscribers.check(text, "s.toml", SETTINGS),
        *subscribers.check(text, "s.csv", SETTINGS),
        *events.check(text, "e.jsonl", book),
        *events.check(text, "e.toml", book),
    ]
    for fault in faults:
        assert 1 <= fault.line <= text.count("\n") + text.count("\r") + 1
        assert fault.column >= 1
        assert str(fault).isprintable()


@given(
    st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2260, 1, 1)),
    st.integers(0, 999_999_999),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_a_time_is_read_exactly(day: datetime.datetime, ns: int, offset_min: int) -> None:
    """U2, U4"""
    zone = datetime.timezone(datetime.timedelta(minutes=offset_min))
    local = day.replace(microsecond=0, tzinfo=zone)
    text = local.isoformat().replace("+00:00", "Z")
    since = local - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    exact = Fraction(since // datetime.timedelta(seconds=1)) + Fraction(ns, 10**9)
    whole = f"{text[:19]}.{ns:09d}{text[19:]}"
    assert Fraction(moment.parse(whole), 10**9) == exact


def naive_clashes(texts: list[str]) -> bool:
    """Whether two of the addresses share one, said the slow way."""
    nets = [ipaddress.ip_network(text) for text in texts]
    return any(
        one.version == other.version and one.overlaps(other)
        for at, one in enumerate(nets)
        for other in nets[:at]
    )


ADDRESSES = st.one_of(
    st.integers(1, 6).map("10.0.0.{}".format),
    st.integers(0, 3).map("2001:db8:0:{}::/64".format),
    st.tuples(st.integers(0, 3), st.integers(0, 2)).map(lambda p: f"2001:db8:0:{p[0]}::{p[1]}"),
)


@given(st.lists(ADDRESSES, max_size=6))
def test_overlapping_addresses_are_found(addresses: list[str]) -> None:
    """N2"""
    rows = "".join(f"c{k},light-start,2013-11-01,l{k},{a}\n" for k, a in enumerate(addresses))
    text = "contract,plan,started,line,addresses\n" + rows
    book_faults = subscribers.check(text, "s.csv", SETTINGS)
    if rows:
        assert bool(book_faults) == naive_clashes(addresses)


PORTS = st.lists(st.integers(1, 3), max_size=2, unique=True)
RULES = st.lists(
    st.tuples(
        st.sampled_from(("10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "11.0.0.0/8", "10.2.0.0/16")),
        st.sampled_from(("udp", "tcp", "any")),
        PORTS,
    ),
    max_size=8,
)


@given(RULES)
def test_overlapping_exempt_rules_are_found(rules: list[tuple[str, str, list[int]]]) -> None:
    """B79, X2"""
    text = "[exempt]\nendpoint = [\n" + "".join(
        f'{{name = "{at}", prefixes = ["{prefix}"], protocol = "{protocol}", ports = {ports}}},\n'
        for at, (prefix, protocol, ports) in enumerate(rules)
    )

    def clash(one: tuple[str, str, list[int]], other: tuple[str, str, list[int]]) -> bool:
        return bool(
            naive_clashes([one[0], other[0]])
            and (one[1] == other[1] or "any" in (one[1], other[1]))
            and (not one[2] or not other[2] or set(one[2]) & set(other[2]))
        )

    # Each that lies in one before it, the wider first, has a finding; it names one with which it clashes.
    nested = sorted(range(len(rules)), key=lambda at: int(rules[at][0].partition("/")[2]))
    clashing = [
        at
        for place, at in enumerate(nested)
        if any(clash(rules[at], rules[other]) for other in nested[:place])
    ]
    faults = config.check(text + "]\n", "c")
    assert len(faults) == len(clashing)
    for fault in faults:
        early = int(fault.what.partition("line ")[2].partition(" ")[0])
        assert early < fault.line
        assert clash(rules[fault.line - 3], rules[early - 3])

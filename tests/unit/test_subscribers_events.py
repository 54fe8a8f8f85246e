"""Event files: verbs, times to the nanosecond, and every fault with its place."""

import dataclasses
import datetime
from pathlib import Path

import pytest

from engine import config, subscribers
from engine.errors import ConfigError
from engine.subscribers import (
    Attach,
    Charge,
    Detach,
    ReloadExempt,
    ReplaceSim,
    Resume,
    Suspend,
    Switch,
    events,
    moment,
)

AT = '"at": "2013-11-05T09:00:00+09:00"'
NS = 1_383_609_600 * 10**9


LIST = '[[exempt.endpoint]]\nname = "a"\nprefixes = ["192.0.2.0/24"]\n'
EXEMPT = dataclasses.replace(
    config.load(None).exempt, endpoints=(config.Endpoint("a", ("192.0.2.0/24",)),)
)


def told(text: str, name: str = "e.jsonl", book: subscribers.Book | None = None) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    return [str(fault).removeprefix(f"{name}:") for fault in events.check(text, name, book)]


def test_the_example_events_are_of_the_example_book(project: Path) -> None:
    """P3, C3, L1"""
    folder = project / "configs" / "subscribers"
    book = subscribers.load(folder / "family.toml", config.load(None))
    minute = 60 * 10**9
    assert events.load(folder / "family.events.jsonl", book) == [
        Switch(at_ns=NS + 1, line="hdo00000001", on=False),
        Switch(at_ns=NS + 30 * minute, line="hdo00000001", on=True),
        Charge(at_ns=NS + 60 * minute, contract="hdd00000001", coupons=1),
        Resume(at_ns=NS + 120 * minute, line="hdo00000004"),
    ]


def test_every_verb_in_either_format_sorted_by_time(tmp_path: Path) -> None:
    """P3, C3, L1, L2, N6: events of one time stay in the order of the file."""
    wanted = [
        Attach(at_ns=1, line="a"),
        Detach(at_ns=5, line="a"),
        Suspend(at_ns=5, line="a"),
        Resume(at_ns=5, line="a"),
        Switch(at_ns=5, line="a", on=True),
        Charge(at_ns=6, contract="c", coupons=30),
        ReplaceSim(at_ns=7, line="a", iccid="8981100000000000009"),
        ReloadExempt(at_ns=8, file="list.toml", exempt=EXEMPT),
    ]
    (tmp_path / "list.toml").write_text(LIST)
    lines = [
        '{"at_ns": 8, "do": "exempt", "file": "list.toml"}',
        '{"at_ns": 7, "do": "replace-sim", "line": "a", "iccid": "8981100000000000009"}',
        '{"at_ns": 6, "do": "charge", "contract": "c", "coupons": 30}',
        "",
        '{"at_ns": 5, "do": "detach", "line": "a"}\r',
        ' \t{ "at_ns" : 5 , "do" : "suspend" , "line" : "a" } ',
        '{"at_ns": 5, "do": "resume", "line": "a"}',
        '{"at_ns": 5, "do": "switch", "line": "a", "on": true}',
        '{"at": "1970-01-01T09:00:00.000000001+09:00", "do": "attach", "line": "a"}',
    ]
    for suffix in ("jsonl", "ndjson", "json"):
        path = tmp_path / f"e.{suffix}"
        path.write_text("\n".join(lines))
        assert events.load(path) == wanted
    path = tmp_path / "e.toml"
    path.write_text(
        '[[event]]\nat_ns = 8\ndo = "exempt"\nfile = "list.toml"\n'
        '[[event]]\nat_ns = 7\ndo = "replace-sim"\nline = "a"\niccid = "8981100000000000009"\n'
        '[[event]]\nat_ns = 6\ndo = "charge"\ncontract = "c"\ncoupons = 30\n'
        + "".join(
            f'[[event]]\nat_ns = 5\ndo = "{do}"\nline = "a"\n'
            for do in ("detach", "suspend", "resume")
        )
        + '[[event]]\nat_ns = 5\ndo = "switch"\nline = "a"\non = true\n'
        + '[[event]]\nat = "1970-01-01T00:00:00.000000001Z"\ndo = "attach"\nline = "a"\n'
    )
    assert events.load(path) == wanted
    path.write_text("")
    assert events.load(path) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "1:2: not JSON: Expecting property name"),
        ('{"a": 1}}', "1:9: not JSON: Extra data"),
        ("[1]", "1:1: each line is an object"),
        ("5", "1:1: each line is an object"),
        ('{"at": 1, "at": 2}', '1:11: key "at" is there twice'),
        ('{"a": {}, "\\u0061": 2}', '1:11: key "a" is there twice'),
        ('{"at_ns": NaN}', "1:1: NaN is no JSON"),
        ('{"at_ns": ' + "9" * 5_000 + "}", "1:1: Exceeds the limit"),
        ("[" * 100_000, "1:1: values nested too deeply"),
        ("{}", "1:1: [0].do: nothing is not among the things to do; allowed: switch, charge,"),
        ('{"do": 5}', "1:8: [0].do: 5 is not among the things to do"),
        ('{"do": "fly"}', '1:8: [0].do: "fly" is not among the things to do; allowed: switch, cha'),
        (
            '{"do": "attach", "line": "a"}',
            "1:1: [0].at_ns: is missing, and so is at; allowed: at, s",
        ),
        (f'{{{AT}, "at_ns": 1, "do": "attach", "line": "a"}}', "1:2: [0].at: stands beside at_ns;"),
        (
            '{"at": 5, "do": "attach", "line": "a"}',
            "1:8: [0].at: 5 is no time in quotes; allowed: s",
        ),
        (
            '{"at": "now", "do": "attach", "line": "a"}',
            '1:8: [0].at: "now" is no time; allowed: su',
        ),
        (
            '{"at_ns": 1.0, "do": "attach", "line": "a"}',
            "1:11: [0].at_ns: 1.0 is not allowed; allow",
        ),
        ('{"at_ns": true, "do": "attach", "line": "a"}', "1:11: [0].at_ns: true is not allowed"),
        (
            '{"at_ns": -1, "do": "attach", "line": "a"}',
            "1:11: [0].at_ns: -1 is not allowed; allowed",
        ),
        (
            f'{{"at_ns": {1 << 63}, "do": "attach", "line": "a"}}',
            "1:11: [0].at_ns: 922337203685477",
        ),
        (
            f'{{{AT}, "do": "attach", "line": "a", "on": true}}',
            "1:66: [0].on: unknown key; allowed: at, at_ns, line, do",
        ),
        (f'{{{AT}, "do": "attach", "lime": "a"}}', "1:1: [0].line: is missing"),
        (f'{{{AT}, "do": "attach", "line": "\\ud800"}}', '1:61: [0].line: "\\ud800" is not allow'),
        (f'{{{AT}, "do": "attach", "line": {{}}}}', "1:61: [0].line: a table is not allowed"),
        (
            f'{{{AT}, "do": "switch", "line": "a", "on": 0}}',
            "1:72: [0].on: 0 is not allowed; allowed",
        ),
        (f'{{{AT}, "do": "switch", "line": "a", "on": null}}', "1:72: [0].on: None is not allowed"),
        (
            f'{{{AT}, "do": "charge", "contract": "c", "coupons": 31}}',
            "1:81: [0].coupons: 31 is not",
        ),
        (f'{{{AT}, "do": "charge", "contract": "c", "coupons": 0}}', "1:81: [0].coupons: 0 is not"),
    ],
)
def test_a_wrong_line_says_where_and_what_is_allowed(text: str, fault: str) -> None:
    """B79, C3: 30 additional coupons at most"""
    said = told(text)
    assert said[0].startswith(fault)
    # On another line of the file, the number of the line says so; good ones are no faults.
    good = '{"at_ns": 5, "do": "detach", "line": "a"}\n\n'
    (other, *_) = told(good + text)
    assert other.startswith("3" + fault[1 : fault.index(": ")])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = 1\n", "1:1: x: unknown key; allowed: event"),
        ("event = 1\n", "1:9: event: is no list; write [[event]]"),
        ("event = [1]\n", "1:10: event[0]: 1 is no event; allowed: a table with at and do"),
        ("[[event]]\nat_ns = 1\n", "1:3: event[0].do: nothing is not among the things to do"),
        (
            '[[event]]\ndo = "attach"\nline = "a"\nat = 2013-11-05T09:00:00.000000001+09:00\n',
            "4:6: event[0].at: 2013-11-05T09:00:00+09:00 is no time in quotes; allowed: such as",
        ),
        ("[[event]\n", "1:8: not TOML: "),
    ],
)
def test_a_wrong_toml_file_says_where(text: str, fault: str) -> None:
    """B79; a TOML time would lose its nanoseconds"""
    (said,) = told(text, "e.toml")
    assert said.startswith(fault)


def test_lines_and_contracts_are_those_of_the_book() -> None:
    """N6"""
    line = subscribers.Line("l")
    contract = subscribers.Contract("c", "light-start", datetime.date(2013, 11, 1), (line,))
    book = subscribers.Book((contract,))
    text = (
        '{"at_ns": 1, "do": "attach", "line": "l"}\n'
        '{"at_ns": 1, "do": "attach", "line": "c"}\n'
        '{"at_ns": 1, "do": "charge", "contract": "l", "coupons": 1}\n'
        '{"at_ns": 1, "do": "charge", "contract": "c", "coupons": 1}\n'
    )
    assert told(text) == []
    assert told(text, book=book) == [
        '2:38: [1].line: no line of the subscriber file is called "c"',
        '3:42: [2].contract: no contract of the subscriber file is called "l"',
    ]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ('"iccid": "8981"', '1:57: [0].iccid: "8981" is not allowed; allowed: 10 to 22 digits'),
        ('"iccid": 8981100000000000009', "1:57: [0].iccid: 8981100000000000009 is not allowed;"),
        ('"card": "8981100000000000009"', "1:1: [0].iccid: is missing; allowed: 10 to 22 digits"),
    ],
)
def test_a_new_card_has_an_iccid(fields: str, fault: str) -> None:
    """L2, N6, B79"""
    first = told(f'{{"at_ns": 1, "do": "replace-sim", "line": "a", {fields}}}')[0]
    assert first.startswith(fault)


def test_load_refuses_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "e.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ConfigError, match=r"e\.jsonl:1:1: \[0\]\.do: nothing"):
        events.load(path)
    with pytest.raises(ConfigError, match=r"e\.yaml: an event file ends in \.jsonl or"):
        events.check("", "e.yaml")


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T09:00:00+09:00", 0),
        ("1969-12-31T19:00:00-05:00", 0),
        ("2013-11-05 09:00:00.000000001+09:00", NS + 1),
        ("2013-11-05t00:00:00.5z", NS + 500_000_000),
        ("2013-11-05T00:00:00.123456789Z", NS + 123_456_789),
        ("2012-02-29T23:59:59.999999999+09:00", 1_330_527_600 * 10**9 - 1),
        ("2261-12-31T23:59:59.999999999Z", 9_214_646_400 * 10**9 - 1),
    ],
)
def test_times_are_exact(text: str, at_ns: int) -> None:
    """U2, U4, B80: the boundary ns, 29 February"""
    assert moment.parse(text) == at_ns


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2013-11-05T09:00:00", "is no time; allowed"),
        ("2013-11-05T09:00+09:00", "is no time; allowed"),
        ("2013-11-05T09:00:00.0000000001Z", "is no time; allowed"),
        ("2013-11-05T09:00:00.Z", "is no time; allowed"),
        ("٢٠١٣-11-05T09:00:00Z", "is no time; allowed"),
        ("2013-02-29T09:00:00Z", "is a day that is not in the calendar"),
        ("2013-11-05T24:00:00Z", "is no time of day"),
        ("2013-11-05T23:60:00Z", "is no time of day"),
        ("2013-11-05T23:59:60Z", "is no time of day"),
        ("2013-11-05T23:59:59+24:00", "has no such offset"),
        ("2013-11-05T23:59:59+09:60", "has no such offset"),
        ("1970-01-01T00:00:00+09:00", "is out of range"),
        ("2262-01-01T00:00:00Z", "is out of range"),
    ],
)
def test_what_is_no_time_is_refused(text: str, words: str) -> None:
    """U4, B79"""
    with pytest.raises(ValueError, match=words):
        moment.parse(text)

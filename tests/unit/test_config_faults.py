"""Every fault of a configuration is named, with line and column, and with what is allowed."""

from pathlib import Path

import pytest

from engine import config
from engine.config import document, loader
from engine.config.faults import FAULTS_SHOWN
from engine.errors import ConfigError

PLAN = """[[plan]]
name = "p"
title = "P"
sims_max = 1
bundle_bytes = 0
high_down_bps = 1_000_000
high_up_bps = 1_000_000
restriction_bytes = 0
"""


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    return [str(fault).removeprefix("f.toml:") for fault in config.check(text, "f.toml")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("colour = 1", "1:1: colour: unknown key; allowed: count, first_slice, default_plan,"),
        ("[speed.slow]\nrate = 1", "2:1: speed.slow.rate: unknown key, did you mean rate_bps?;"),
        ('"a\\nb" = 1', '1:1: "a\\nb": unknown key;'),
        ('count = "ip"', '1:9: count: "ip" is not allowed; allowed: "inner-ip" or "outer-ip" or'),
        ('limiter = "drop"', '1:11: limiter: "drop" is not allowed; allowed: "shape" or "police"'),
        (
            'first_slice = "x"',
            '1:15: first_slice: "x" is not allowed; allowed: "attach" or "first-',
        ),
        ("default_plan = 5", "1:16: default_plan: 5 is not allowed; allowed: 1 to 64 printable"),
        ("speed = 5", "1:9: speed: 5 is not allowed; allowed: a table with high, slow, restricted"),
        ("speed = [1]", "1:9: speed: a list is not allowed; allowed: a table with high, slow"),
        (
            "plan = {}",
            "1:8: plan: a table is not allowed; allowed: a list, at least one of: a table",
        ),
        (
            "plan = []",
            "1:8: plan: a list is not allowed; allowed: a list, at least one of: a table",
        ),
        ("ue_nets = 2013-11-01", "1:11: ue_nets: 2013-11-01 is not allowed; allowed: a list of: a"),
        (
            "[restriction]\nenabled = 1",
            "2:11: restriction.enabled: 1 is not allowed; allowed: true",
        ),
    ],
)
def test_a_wrong_value_says_where_and_what_is_allowed(text: str, fault: str) -> None:
    """B79"""
    (line,) = told(text)
    assert line.startswith(fault)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0", "0"),
        ("-1", "-1"),
        ("100_000_000_001", "100000000001"),
        ("9223372036854775808", "9223372036854775808"),
        (str(1 << 70), "an integer of 71 bits"),
        ("1e400", "inf"),
        ("nan", "nan"),
        ("200000.0", "200000.0"),
        ("true", "true"),
        ('"200000"', '"200000"'),
        ('"' + "x" * 10_000 + '"', '"' + "x" * 56 + "..."),
    ],
)
def test_a_rate_is_an_integer_within_bounds(value: str, said: str) -> None:
    """B79, B80: rate 0, negative, 1e400, 2^63; a boolean or a float is no integer."""
    (line,) = told(f"[speed.slow]\nrate_bps = {value}\n")
    assert line == (
        f"2:12: speed.slow.rate_bps: {said} is not allowed; allowed: an integer 1 .. 100000000000"
    )


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("10.0.0.0/33", "is no prefix; allowed: such as"),
        ("10.0.0.1/8", "has bits set after the prefix; did you mean 10.0.0.0/8?"),
        ("2001:db8::1/64", "has bits set after the prefix; did you mean 2001:db8::/64?"),
        ("2001:db8::/129", "is no prefix"),
        ("localhost", "is no prefix"),
        ("", "is no prefix"),
    ],
)
def test_a_prefix_has_no_bits_after_it(prefix: str, words: str) -> None:
    """B79, X2: prefix /33"""
    (line,) = told(f'ue_nets = ["10.0.0.0/8",\n  "{prefix}"]\n')
    assert line.startswith(f'2:3: ue_nets[1]: "{prefix}" {words}')


@pytest.mark.parametrize("name", ["a\\u0000b", "\\u202eplan", "a\\nb", " a", "x" * 65, ""])
def test_a_name_is_short_and_printable(name: str) -> None:
    """B77: control and right-to-left characters"""
    lines = told('default_plan = "p"\n' + PLAN.replace('"P"', f'"{name}"') + "[x]\n")
    assert [line.split(": ")[:2] for line in lines] == [["4:9", "plan[0].title"], ["10:2", "x"]]
    assert all(line.isascii() and "\n" not in line for line in lines)


def test_what_is_missing_is_told_at_its_table() -> None:
    lines = told('default_plan = "p"\n\n[[plan]]\nname = "p"\n')
    assert (
        lines[0]
        == "3:3: plan[0].bundle_bytes: is missing; allowed: an integer 0 .. 1125899906842624"
    )
    assert [line.split(": ")[1] for line in lines] == [
        f"plan[0].{key}"
        for key in (
            "bundle_bytes",
            "high_down_bps",
            "high_up_bps",
            "restriction_bytes",
            "sims_max",
            "title",
        )
    ]


def test_the_same_plan_twice_names_both_lines() -> None:
    """B79, S5"""
    lines = told('default_plan = "p"\n' + PLAN + PLAN)
    assert lines == ['11:8: plan[1].name: plan "p" is there already, in line 3']


def test_the_default_plan_is_one_of_the_plans() -> None:
    """S5"""
    said = 'default_plan "q" is none of the plans; allowed: "p"'
    assert told('default_plan = "q"\n' + PLAN) == [f"1:16: default_plan: {said}"]
    # Said by the default configuration, so that the file has no line for it.
    said = said.replace('"q"', f'"{config.load(None).default_plan}"')
    assert told(PLAN) == [f"1:3: plan[0]: {said}"]


def test_a_queue_longer_than_the_limiter_counts_is_refused() -> None:
    """P4, U4: queue_ms times rate stays below 2^62 bit-ns"""
    fast = PLAN.replace("high_up_bps = 1_000_000", "high_up_bps = 100_000_000_000")
    most = ((1 << 62) - 1) // (100_000_000_000 * 1_000_000)
    said = (
        "a queue of {} ms at 100000000000 bit/s is more than the limiter counts; "
        f"allowed at this rate: speed.{{}}.queue_ms up to {most}"
    )
    own = 'default_plan = "p"\n'
    # The queue's time is the default configuration's, the rate is in the file.
    assert told(own + fast) == [f"8:15: plan[0].high_up_bps: {said.format(200, 'high')}"]
    assert told(f"{own}[speed.high]\nqueue_ms = {most}\n{fast}") == []
    # The other way round.
    (line, *_) = told("[speed.high]\nqueue_ms = 60_000\n")
    assert line.startswith("2:12: speed.high.queue_ms: a queue of 60000 ms at 112500000 bit/s")
    restricted = "[speed.restricted]\nrate_bps = 100_000_000_000\n"
    assert told(restricted) == [
        f"2:12: speed.restricted.rate_bps: {said.format(3000, 'restricted')}"
    ]
    assert told(restricted + f"queue_ms = {most + 1}") == [
        f"3:12: speed.restricted.queue_ms: {said.format(most + 1, 'restricted')}"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a = 1\nb = = 2\n", "2:5: not TOML: Invalid value"),
        ("[a", "1:3: not TOML: Expected ']'"),
        ("a = 1\na = 2\n", "2:6: not TOML: Cannot overwrite a value"),
        ('a = "\n', "1:6: not TOML: Illegal character '"),
        ("a = '''\nb", "2:2: not TOML: Expected \"'''\""),
        ("é = 1", "1:1: not TOML: "),
        ("!!python/object:os.system 1", "1:1: not TOML: Invalid statement"),
        ("a = 2013-02-30", "1:5: not TOML: Invalid date or datetime"),
        ("a = " + "[" * 100_000, "1:1: values nested too deeply"),
        ("a = " + "9" * 5_000, "1:1: an integer of too many digits"),
    ],
)
def test_what_is_no_toml_is_told_at_its_place(text: str, fault: str) -> None:
    """B79: `!!python/object` and its like, the same key twice"""
    (line,) = told(text)
    assert line.startswith(fault)


def test_a_queue_time_that_no_state_may_have_is_refused_once() -> None:
    """P4, B79: not once more for each rate at which it would be too long"""
    for state in ("high", "slow", "restricted"):
        assert told(f"[speed.{state}]\nqueue_ms = 9_000_000\n") == [
            f"2:12: speed.{state}.queue_ms: 9000000 is not allowed; allowed: an integer 0 .. 60000"
        ]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "none.toml", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        ("a\0b", "cannot be read: embedded null"),
    ):
        with pytest.raises(ConfigError, match=words):
            config.load(path)


def test_text_that_is_not_utf8_names_line_column_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes("# ü\n# ü ".encode() + b"\xfc\n")
    with pytest.raises(ConfigError, match=r"latin\.toml:2:5: not UTF-8 \(byte offset 10\)"):
        config.load(path)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbffirst_slice = 'attach'\r\n")
    assert config.load(path) == config.load(None)
    assert document.read_text(path).startswith("first")


def test_load_refuses_with_a_line_for_each_fault_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "many.toml"
    path.write_text("".join(f"x{k} = 1\n" for k in range(FAULTS_SHOWN + 7)))
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == FAULTS_SHOWN + 1
    assert lines[1].startswith(f"{path}:2:1: x1: unknown key")
    assert lines[-1] == f"{path}: 7 more faults"
    assert caught.value.exit_status == 3


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            '[police]\nmarker = "rfc4115"',
            '2:10: police.marker: "rfc4115" is not allowed; allowed: "rfc2697" or "rfc2698"',
        ),
        (
            "[police]\npeak_percent = 99",
            "2:16: police.peak_percent: 99 is not allowed; allowed: an integer 100 .. 1000",
        ),
        (
            "[police]\nexcess_burst_bytes = 500_000_001",
            "2:22: police.excess_burst_bytes: 500000001 is not allowed; allowed: an integer 0 .. 5000",
        ),
        (
            "[police]\nyellow = true",
            '2:10: police.yellow: true is not allowed; allowed: "pass" or "d',
        ),
        (
            "[police]\ntokens = 1",
            '2:10: police.tokens: 1 is not allowed; allowed: "rte_meter" or "ex',
        ),
        ("[police]\npir = 1", "2:1: police.pir: unknown key; allowed: marker, peak_percent, exc"),
        (
            '[police]\nmarker = "rfc2698"',
            "2:10: police.marker: rfc2698 needs a peak bucket (PBS): excess_burst_bytes is 0; "
            "allowed: 1 .. 500000000",
        ),
        (
            '[police]\nexcess_burst_bytes = 0\nmarker = "rfc2698"',
            "2:22: police.excess_burst_bytes: rfc2698 needs a peak bucket (PBS): excess_burst_bytes i",
        ),
        (
            'limiter = "police"\n[speed.slow]\nrate_bps = 7',
            "3:12: speed.slow.rate_bps: a policer counts whole bytes a second; speed.slow.rate_bps is 7; "
            "allowed: 8 .. 100000000000",
        ),
        (
            'limiter = "police"\n[speed.slow]\nrate_bps = 0',
            "3:12: speed.slow.rate_bps: 0 is not allowed; allowed: an integer 1 .. 100000000000",
        ),
        (
            'limiter = "police"\ndefault_plan = "p"\n'
            + PLAN.replace("up_bps = 1_000_000", "up_bps = true"),
            "9:15: plan[0].high_up_bps: true is not allowed; allowed: an integer 1 .. 100000000000",
        ),
        (
            'limiter = "police"\ndefault_plan = "p"\n'
            + PLAN.replace("up_bps = 1_000_000", "up_bps = 1"),
            "9:15: plan[0].high_up_bps: a policer counts whole bytes a second; plan[0].high_up_bps is 1;",
        ),
    ],
)
def test_a_policer_has_settings_that_agree(text: str, fault: str) -> None:
    """B79, P2, P4: RFC 2697 and 2698"""
    (line,) = told(text)
    assert line.startswith(fault)


def test_a_policers_settings_are_fine_where_they_agree(tmp_path: Path) -> None:
    """P4"""
    path = tmp_path / "own.toml"
    path.write_text(
        'limiter = "police"\n[police]\nmarker = "rfc2698"\nexcess_burst_bytes = 1\npeak_percent = 100\n'
        "[speed.slow]\nrate_bps = 8\n"
    )
    settings = config.load(path)
    assert settings.limiter == "police"
    assert settings.police == config.Police("rfc2698", 100, 1, "drop", "rte_meter")
    # A shaper has no whole bytes a second to keep to.
    assert told("[speed.slow]\nrate_bps = 7") == []


def test_a_peak_rate_is_within_what_the_marker_counts() -> None:
    """B79, U4"""
    two = 'limiter = "police"\n[police]\nmarker = "rfc2698"\nexcess_burst_bytes = 9\npeak_percent = {}\n'
    fast = PLAN.replace("high_up_bps = 1_000_000", "high_up_bps = 100_000_000_000")
    own = 'default_plan = "p"\nspeed.high.queue_ms = 1\n'
    assert told(own + two.format(100) + fast) == []
    assert told(own + two.format(101).replace("8", "7", 1) + fast) == []
    (line,) = told(own + two.format(101) + fast)
    assert line == (
        "7:16: police.peak_percent: 101 % of plan[0].high_up_bps is more than 100000000000 bit/s; "
        "allowed: peak_percent up to 100, or a lower rate"
    )
    # Said by the default configuration: the rate is what the file has.
    (line,) = told(own + two[: two.index("peak")] + fast)
    assert line.startswith("13:15: plan[0].high_up_bps: 200 % of plan[0].high_up_bps is more than")


def test_a_rate_of_the_default_that_a_policer_cannot_have_is_told_at_the_limiter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B79: the file has no line for it"""
    slow = tmp_path / "iijmio.toml"
    slow.write_text(
        config.example().replace("rate_bps = 200_000", "rate_bps = 7"), encoding="utf-8"
    )
    monkeypatch.setattr(loader, "default_path", lambda: slow)
    (line,) = told('\nlimiter = "police"')
    assert line.startswith(
        "2:11: limiter: a policer counts whole bytes a second; speed.slow.rate_bps is 7"
    )

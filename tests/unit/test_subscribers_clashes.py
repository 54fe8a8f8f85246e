"""Lines of a subscriber file that clash: identities, addresses, TEIDs, SIMs of a plan."""

import pytest

from engine import config, subscribers

SETTINGS = config.load(None)
HEAD = '[[contract]]\ncode = "hdd1"\nplan = "family-share"\nstarted = 2013-11-01\n'


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    faults = subscribers.check(text, "b.toml", SETTINGS)
    return [str(fault).removeprefix("b.toml:") for fault in faults]


def line(code: str, **values: object) -> str:
    """A line's table: values are TOML."""
    pairs = "".join(f"{key} = {value}\n" for key, value in values.items())
    return f'[[contract.line]]\ncode = "{code}"\n{pairs}'


def test_a_plan_has_so_many_sims_and_no_more() -> None:
    """L4, S1, S2, S3"""
    for plan, most in (("minimum-start", 1), ("light-start", 1), ("family-share", 3)):
        head = HEAD.replace("family-share", plan)
        fits = head + "".join(line(f"l{k}") for k in range(most))
        assert told(fits) == []
        (said,) = told(fits + line("more") + line("still more"))
        assert said.startswith(f"{5 + 2 * most}:3: contract[0].line[{most}]: one line too many;")
        assert said.endswith(f'allowed: {most} in plan "{plan}"')


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("imsi", '"440100000000001"', "IMSI"),
        ("iccid", '"8981100000000000001"', "ICCID"),
        ("msisdn", '"819012345678"', "MSISDN"),
    ],
)
def test_an_identity_is_of_one_line_only(key: str, value: str, what: str) -> None:
    """N6"""
    second = HEAD.replace("hdd1", "hdd2") + line("b", **{key: value})
    (said,) = told(HEAD + line("a", **{key: value}) + second)
    column = len(key) + 4
    assert said == (
        f"14:{column}: contract[1].line[0].{key}: {what} {value} is there already, in line 7"
    )


def test_the_same_contract_and_line_twice() -> None:
    """A1, B79: duplicated SIM"""
    assert told(HEAD + line("a") + HEAD + line("a")) == [
        '8:8: contract[1].code: contract "hdd1" is there already, in line 2',
        '12:8: contract[1].line[0].code: line "a" is there already, in line 6',
    ]


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("10.0.0.1", "10.0.0.1/32", True),
        ("2001:db8::/64", "2001:db8::5", True),
        ("2001:db8::5", "2001:db8::/64", True),
        ("2001:db8::/64", "2001:db8:0:0::/64", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::/64", "2001:db8:0:1::/64", False),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8:0:1::/64", False),
        ("0.0.0.1", "::1", False),
    ],
)
def test_an_address_is_of_one_line_only(first: str, second: str, clash: bool) -> None:
    """N2, N7"""
    text = HEAD + line("a", addresses=f'["{first}"]') + line("b", addresses=f'["{second}"]')
    said = told(text)
    place = "10:14: contract[0].line[1].addresses[0]: is, or overlaps, an address in line 7"
    assert said == ([place] if clash else [])


GATEWAY = '"192.0.2.1"'
OTHER = '"192.0.2.2"'


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        # Anywhere: one TEID, one line and direction.
        ({"teid_up": 5}, {"teid_up": 5}, "10:11: contract[0].line[1].teid_up: TEID 5 is taken"),
        ({"teid_up": 5}, {"teid_down": 5}, "10:13: contract[0].line[1].teid_down: TEID 5 is taken"),
        (
            {"teid_down": 5},
            {"teid_down": 5},
            "10:13: contract[0].line[1].teid_down: TEID 5 is taken",
        ),
        # At a gateway: TEIDs are unique per receiver only.
        (
            {"teid_up": 5, "gateway": GATEWAY},
            {"teid_up": 5, "gateway": GATEWAY},
            "11:11: contract[0].line[1].teid_up: TEID 5 at 192.0.2.1 is taken",
        ),
        ({"teid_up": 5, "gateway": GATEWAY}, {"teid_up": 5, "gateway": OTHER}, None),
        ({"teid_up": 5, "gateway": GATEWAY}, {"teid_down": 5}, None),
        # One at a gateway, the same wherever a packet goes: the packet could be either's.
        (
            {"teid_up": 5, "gateway": GATEWAY},
            {"teid_up": 5},
            "11:11: contract[0].line[1].teid_up: TEID 5 is taken already, in line 7; add `gateway`",
        ),
        (
            {"teid_up": 5},
            {"teid_up": 5, "gateway": GATEWAY},
            "10:11: contract[0].line[1].teid_up: TEID 5 at 192.0.2.1 is taken already, in line 7",
        ),
        # The S-GW's address is not in the file.
        (
            {"teid_up": 1, "teid_down": 5, "gateway": GATEWAY},
            {"teid_up": 1, "teid_down": 5, "gateway": OTHER},
            "13:13: contract[0].line[1].teid_down: TEID 5 is taken already, in line 8",
        ),
        ({"teid_up": 5}, {"teid_up": 6}, None),
    ],
)
def test_a_teid_finds_one_line_and_direction(
    first: dict[str, object], second: dict[str, object], fault: str | None
) -> None:
    """N6, N7"""
    said = told(HEAD + line("a", **first) + line("b", **second))
    if fault is None:
        assert said == []
    else:
        (only,) = said
        assert only.startswith(fault)


def test_one_line_with_one_teid_both_ways_needs_a_gateway() -> None:
    """N7"""
    both = line("a", teid_up=5, teid_down=5)
    assert told(HEAD + both) == [
        "8:13: contract[0].line[0].teid_down: TEID 5 is taken already, in line 7; "
        "add `gateway` to both"
    ]
    assert told(HEAD + both + f"gateway = {GATEWAY}\n") == []

"""Subscriber files: what a book says, and every fault with its place."""

import datetime
import tomllib
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from engine import config, subscribers
from engine.config.model import BYTES_MAX
from engine.errors import ConfigError
from engine.subscribers import Book, Contract, Coupon, Line

SETTINGS = config.load(None)
HEAD = '[[contract]]\ncode = "hdd1"\nplan = "family-share"\nstarted = 2013-11-01\n'
COUPON = '[[contract.coupon]]\nkind = "{}"\nbytes = {}\nexpires = "{}"\n'


def told(text: str) -> list[str]:
    """Every fault as its line of text, without the name of the file."""
    faults = subscribers.check(text, "b.toml", SETTINGS)
    return [str(fault).removeprefix("b.toml:") for fault in faults]


def line(code: str, **values: object) -> str:
    """A line's table: values are TOML."""
    pairs = "".join(f"{key} = {value}\n" for key, value in values.items())
    return f'[[contract.line]]\ncode = "{code}"\n{pairs}'


def test_the_example_book(project: Path) -> None:
    """S1, S3, N6, C4, L1"""
    book = subscribers.load(project / "configs/subscribers/family.toml", SETTINGS)
    family, single = book.contracts
    assert family == Contract(
        code="hdd00000001",
        plan="family-share",
        started=datetime.date(2013, 11, 1),
        mio_id="MA00000001",
        coupons=(Coupon("bundle", 1 << 30, "2013-12"), Coupon("topup", 100 << 20, "2014-02")),
        lines=(
            Line(
                code="hdo00000001",
                imsi="440100000000001",
                iccid="8981100000000000001",
                msisdn="819000000001",
                addresses=("10.1.0.1", "2001:db8:0:1::/64"),
                teid_up=65536,
                teid_down=65537,
                gateway="192.0.2.1",
            ),
            Line(code="hdo00000002", imsi="440100000000002", addresses=("10.1.0.2",)),
            Line(
                code="hdo00000003",
                imsi="440100000000003",
                coupon=False,
                balance_bytes=5 << 20,
                addresses=("10.1.0.3",),
            ),
        ),
    )
    assert (single.plan, single.coupons, single.mio_id) == ("minimum-start", None, None)
    assert [one.in_service for one in single.lines] == [False]


def test_the_example_as_rows_is_the_same_book(project: Path) -> None:
    folder = project / "configs" / "subscribers"
    book = subscribers.load(folder / "family.toml", SETTINGS)
    assert subscribers.load(folder / "family.csv", SETTINGS) == book


def test_no_coupons_and_none_said_are_different(tmp_path: Path) -> None:
    """C1: without any coupon the plan's bundle is credited; an empty list is an empty database."""
    for extra, coupons in (("", None), ("coupon = []\n", ())):
        path = tmp_path / "book.toml"
        path.write_text(HEAD + extra)
        assert subscribers.load(path, SETTINGS) == Book(
            (Contract("hdd1", "family-share", datetime.date(2013, 11, 1), coupons=coupons),)
        )


def test_addresses_become_canonical(tmp_path: Path) -> None:
    """N2"""
    path = tmp_path / "book.TOML"
    addresses = '["10.1.0.1/32", "2001:DB8:0:0:1::1/128", "2001:db8:0:0:2::7", "FD00::/64"]'
    path.write_text(HEAD + line("a", addresses=addresses, teid_up=1, gateway='"2001:DB8::1"'))
    (one,) = subscribers.load(path, SETTINGS).contracts[0].lines
    assert one.addresses == ("10.1.0.1", "2001:db8::1:0:0:1", "2001:db8::2:0:0:7", "fd00::/64")
    assert one.gateway == "2001:db8::1"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "",
            "1:1: contract: is missing; allowed: a list of: a table with code, plan, started, line,",
        ),
        ("contract = []\na = 1\n", "2:1: a: unknown key; allowed: contract"),
        (
            "contract = 5\n",
            "1:12: contract: 5 is not allowed; allowed: a list of: a table with code",
        ),
        (
            "contract = [5]\n",
            "1:13: contract[0]: 5 is not allowed; allowed: a table with code, plan,",
        ),
        (
            HEAD + "plna = 1\n",
            "5:1: contract[0].plna: unknown key, did you mean plan?; allowed: code",
        ),
        (
            HEAD + "line = 5\n",
            "5:8: contract[0].line: 5 is not allowed; allowed: a list of: a table",
        ),
        (
            HEAD.replace("2013-11-01", '"2013-11-01"'),
            '4:11: contract[0].started: "2013-11-01" is not',
        ),
        (HEAD.replace("2013", "1969"), "4:11: contract[0].started: 1969-11-01 is out of range;"),
        (HEAD.replace("2013", "2262"), "4:11: contract[0].started: 2262-11-01 is out of range;"),
        (
            HEAD.replace("-01\n", "-01T00:00:00Z\n"),
            "4:11: contract[0].started: 2013-11-01T00:00:00+00:00 is not allowed; allowed: a date,",
        ),
        (
            HEAD.replace("family-share", "giga"),
            "3:8: contract[0].plan: no plan of the configuration",
        ),
        (HEAD.replace('"family-share"', "3"), "3:8: contract[0].plan: 3 is not allowed;"),
        ("contract = \n", "1:12: not TOML: Invalid value"),
    ],
)
def test_a_wrong_contract_says_where_and_what_is_allowed(text: str, fault: str) -> None:
    """S5, B79"""
    (said,) = told(text)
    assert said.startswith(fault)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"imsi": "440100000000001"},
            "7:8: contract[0].line[0].imsi: 440100000000001 is not allowed;",
        ),
        (
            {"imsi": '"4401000000000012"'},
            '7:8: contract[0].line[0].imsi: "4401000000000012" is not',
        ),
        (
            {"imsi": '"4401"'},
            '7:8: contract[0].line[0].imsi: "4401" is not allowed; allowed: 5 to 15',
        ),
        ({"imsi": '"٤٤٠١٠٠٠"'}, r'7:8: contract[0].line[0].imsi: "\u0664'),
        ({"imsi": '"440100000000001\\n"'}, "7:8: contract[0].line[0].imsi: "),
        (
            {"iccid": '"8981"'},
            '7:9: contract[0].line[0].iccid: "8981" is not allowed; allowed: 10 to 22',
        ),
        ({"msisdn": '"+819012345678"'}, "7:10: contract[0].line[0].msisdn: "),
        (
            {"coupon": "1"},
            "7:10: contract[0].line[0].coupon: 1 is not allowed; allowed: true or false",
        ),
        (
            {"coupon": '"on"'},
            '7:10: contract[0].line[0].coupon: "on" is not allowed; allowed: true or',
        ),
        ({"balance_bytes": "-1"}, "7:17: contract[0].line[0].balance_bytes: -1 is not allowed;"),
        (
            {"balance_bytes": "1e400"},
            "7:17: contract[0].line[0].balance_bytes: inf is not allowed;",
        ),
        (
            {"balance_bytes": f"{BYTES_MAX + 1}"},
            "7:17: contract[0].line[0].balance_bytes: 46116860184",
        ),
        (
            {"balance_bytes": f"{1 << 63}"},
            "7:17: contract[0].line[0].balance_bytes: 92233720368547758",
        ),
        (
            {"teid_up": "0"},
            "7:11: contract[0].line[0].teid_up: 0 is not allowed; allowed: an integer 1 ..",
        ),
        (
            {"teid_down": "4294967296"},
            "7:13: contract[0].line[0].teid_down: 4294967296 is not allowed",
        ),
        ({"teid_up": "true"}, "7:11: contract[0].line[0].teid_up: true is not allowed;"),
        (
            {"gateway": '"192.0.2.1"'},
            "7:11: contract[0].line[0].gateway: does nothing without teid_up",
        ),
        (
            {"teid_up": "1", "gateway": '"x"'},
            '8:11: contract[0].line[0].gateway: "x" is no address;',
        ),
        ({"teid_up": "1", "gateway": "5"}, "8:11: contract[0].line[0].gateway: 5 is not allowed;"),
        (
            {"addresses": '"10.0.0.1"'},
            '7:13: contract[0].line[0].addresses: "10.0.0.1" is not allowed;',
        ),
        ({"pin": "1"}, "7:1: contract[0].line[0].pin: unknown key"),
    ],
)
def test_a_wrong_line_says_where_and_what_is_allowed(values: dict[str, str], fault: str) -> None:
    """N6, C7, B79, B80"""
    (said,) = told(HEAD + line("a", **values))
    assert said.startswith(fault)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.0.0.0/24", "is no address of one terminal; allowed: one address"),
        (
            "2001:db8::/56",
            "is no address of one terminal; allowed: one address, or a prefix with /64",
        ),
        ("2001:db8::1/64", "has bits set after the prefix"),
        ("fe80::1%eth0", "has a zone"),
        ("::ffff:10.0.0.2", "is an IPv4 address in disguise; write 10.0.0.2"),
        ("0.0.0.0", "can be nobody's address"),
        ("::", "can be nobody's address"),
        ("224.0.0.1", "can be nobody's address"),
        ("255.255.255.255", "can be nobody's address"),
        ("ff02::1", "can be nobody's address"),
        ("10.0.0.01", "is no address; allowed: 10.1.0.1"),
        ("10.0.0.1/032", "is no address of one terminal"),
        ("", "is no address; allowed: 10.1.0.1"),
    ],
)
def test_an_address_is_one_that_a_terminal_can_have(address: str, words: str) -> None:
    """N2"""
    (said,) = told(HEAD + line("a", addresses=f'["10.0.0.1", "{address}"]'))
    assert said.startswith("7:26: contract[0].line[0].addresses[1]: ")
    assert words in said


@pytest.mark.parametrize(
    "code", ["a\\u0000", "\\u202e", "a\\r", "", " a", "x" * 65, "\\u2066a", "\\u200b"]
)
def test_a_code_is_short_and_printable(code: str) -> None:
    """B77: NUL, right-to-left overrides and their like"""
    (said,) = told(HEAD + line(code))
    assert said.startswith("6:8: contract[0].line[0].code: ")
    assert said.isascii()
    assert said.isprintable()


def test_codes_may_hold_quotes_and_any_letters(tmp_path: Path) -> None:
    """B77, A1: a code is free text"""
    path = tmp_path / "b.toml"
    codes = ("'; DROP TABLE--", "回線 1", "e\u0301", "x" * 64)
    plan = HEAD.replace("family-share", "minimum-start")
    lines = [plan.replace("hdd1", f"c{k}") + line(code) for k, code in enumerate(codes)]
    path.write_text("".join(lines), encoding="utf-8")
    book = subscribers.load(path, SETTINGS)
    assert tuple(contract.lines[0].code for contract in book.contracts) == codes


@pytest.mark.parametrize(
    ("coupon", "fault"),
    [
        (
            ("extra", 1, "2013-12"),
            '6:8: contract[0].coupon[0].kind: "extra" is not allowed; allowed: "bu',
        ),
        (("topup", -1, "2013-12"), "7:9: contract[0].coupon[0].bytes: -1 is not allowed;"),
        (
            ("topup", (1 << 63) - 1, "2013-12"),
            "7:9: contract[0].coupon[0].bytes: 9223372036854775807",
        ),
        (
            ("topup", 1, "2013-13"),
            '8:11: contract[0].coupon[0].expires: "2013-13" is no month; allowed',
        ),
        (("topup", 1, "2013-00"), '8:11: contract[0].coupon[0].expires: "2013-00" is no month'),
        (("topup", 1, "1969-12"), '8:11: contract[0].coupon[0].expires: "1969-12" is no month'),
        (("topup", 1, "2262-01"), '8:11: contract[0].coupon[0].expires: "2262-01" is no month'),
        (
            ("topup", 1, "2013-12-31"),
            '8:11: contract[0].coupon[0].expires: "2013-12-31" is no month',
        ),
    ],
)
def test_a_coupon_has_a_volume_and_a_last_month(coupon: tuple[str, int, str], fault: str) -> None:
    """C1, C4, B80: quantity 0 / 2^63-1, month 13"""
    (said,) = told(HEAD + COUPON.format(*coupon))
    assert said.startswith(fault)


def test_the_sum_of_all_volumes_fits() -> None:
    """B80: the sum overflows though each volume is allowed"""
    half = BYTES_MAX // 2
    full = HEAD + COUPON.format("topup", half, "2013-12") + line("a", balance_bytes=half)
    assert told(full) == []
    (said,) = told(full + COUPON.format("topup", 1, "2013-12"))
    total = f"with it all volumes of the file add up to {BYTES_MAX + 1}; allowed: up to {BYTES_MAX}"
    assert said == f"14:9: contract[0].coupon[1].bytes: {total}"
    (said,) = told(full + line("b", balance_bytes=half) + line("c", balance_bytes=half))
    assert said.startswith("17:17: contract[0].line[2].balance_bytes: with it all volumes")


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = HEAD.replace("family-share", "giga") + line("a", imsi="5", teid_up=0) + line("a")
    assert [said.split(": ")[1] for said in told(text)] == [
        "contract[0].plan",
        "contract[0].line[0].imsi",
        "contract[0].line[0].teid_up",
        "contract[0].line[1].code",
    ]


def test_plans_are_those_of_the_configuration(tmp_path: Path) -> None:
    """S5"""
    plan = replace(SETTINGS.plans[0], name="giga", sims_max=10)
    settings = replace(SETTINGS, plans=(plan,))
    path = tmp_path / "b.toml"
    path.write_text(HEAD.replace("family-share", "giga") + line("a"))
    assert subscribers.load(path, settings).contracts[0].plan == "giga"
    path.write_text(HEAD)
    with pytest.raises(ConfigError, match=r'b\.toml:3:8: contract\[0\]\.plan: no plan .* "giga"'):
        subscribers.load(path, settings)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text("")
    with pytest.raises(ConfigError, match=r"book\.yaml: a subscriber file ends in \.toml or \.csv"):
        subscribers.load(path, SETTINGS)


def test_schema_takes_the_example(project: Path) -> None:
    schema = subscribers.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    raw = tomllib.loads((project / "configs/subscribers/family.toml").read_text("utf-8"))
    for contract in raw["contract"]:
        contract["started"] = contract["started"].isoformat()
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(raw)
    raw["contract"][0]["line"][0]["imsi"] = "x"
    assert not validator.is_valid(raw)

"""What no two lines may have, and what a table cannot hold."""

import resource
from datetime import date
from pathlib import Path

import pytest

from engine.errors import ConfigError, OutputError
from engine.subscribers import Contract, Coupon, Line
from engine.subscribers import table_write as writing
from engine.subscribers.table import SubscriberTable
from tests.support.simstable import FAMILY, SETTINGS, STARTED, opened, write


def alone(at: int, **fields: object) -> Contract:
    line = Line(f"hdo{at}", **fields)  # type: ignore[arg-type]
    return Contract(f"hdd{at}", "light-start", STARTED, (line,))


def refused(path: Path, *contracts: Contract) -> str:
    with pytest.raises(ConfigError) as caught:
        SubscriberTable(write(path, *contracts), SETTINGS)
    return str(caught.value)


CLASHES = [
    ({"imsi": "44010"}, {"imsi": "44010"}, "IMSI"),
    ({"iccid": "8981030000000000018"}, {"iccid": "8981030000000000018"}, "ICCID"),
    ({"msisdn": "09000000001"}, {"msisdn": "09000000001"}, "telephone number"),
    ({"addresses": ("10.1.0.2",)}, {"addresses": ("10.1.0.2",)}, "IPv4 address"),
    (
        {"addresses": ("10.1.0.2", "2001:db8::/64")},
        {"addresses": ("2001:db8::/64",)},
        "IPv6 prefix",
    ),
]


@pytest.mark.parametrize(("one", "other", "what"), CLASHES)
def test_what_two_lines_have_names_both(
    tmp_path: Path, one: dict[str, object], other: dict[str, object], what: str
) -> None:
    """N6"""
    text = refused(tmp_path / "two.sims", alone(1, **one), alone(2), alone(3, **other))
    assert f"the {what} of line hdo3 is line hdo1's already" in text


def test_codes_are_one_contracts_or_lines(tmp_path: Path) -> None:
    path = tmp_path / "two.sims"
    assert "contract hdd1 is there twice" in refused(path, alone(1), alone(1))
    same = Contract("hdd2", "light-start", STARTED, (Line("hdo1"),))
    assert "the code of line hdo1 is line hdo1's already" in refused(path, alone(1), same)


TUNNELS = [
    ({"teid_up": 7}, {"teid_up": 7}, "teid_up"),
    ({"teid_up": 7}, {"teid_down": 7}, "teid_down"),
    ({"teid_up": 7, "gateway": "192.0.2.1"}, {"teid_up": 7}, "teid_up"),
    ({"teid_up": 7}, {"teid_up": 7, "gateway": "192.0.2.1"}, "teid_up"),
    ({"teid_up": 7, "gateway": "192.0.2.1"},) * 2 + ("teid_up",),
    ({"teid_up": 7, "gateway": "192.0.2.1"}, {"teid_up": 7, "gateway": "192.0.2.2"}, None),
    ({"teid_up": 7, "gateway": "192.0.2.1"}, {"teid_down": 7}, None),
]


@pytest.mark.parametrize(("one", "other", "what"), TUNNELS)
def test_a_teid_finds_one_line_at_a_receiver(
    tmp_path: Path, one: dict[str, object], other: dict[str, object], what: str | None
) -> None:
    """B18"""
    path = tmp_path / "two.sims"
    if what is None:
        assert len(opened(path, alone(1, **one), alone(2, **other)).lines) == 2
        return
    text = refused(path, alone(1, **one), alone(2, **other))
    assert f"the {what} of line hdo2 is a TEID of line hdo1 already" in text


UNFIT = [
    (Contract("1234", "light-start", STARTED), "is a number"),
    (Contract("hdd 1", "light-start", STARTED), "printable ASCII"),
    (Contract("h" * 17, "light-start", STARTED), "printable ASCII"),
    (Contract("hdd\u00e9", "light-start", STARTED), "printable ASCII"),
    (Contract("hdd1", "light-start", STARTED, mio_id="MA 1"), "mio_id 'MA 1'"),
    (alone(1, iccid="123456789012345"), "shorter than 16 digits"),
    (alone(1, addresses=("10.1.0.1", "10.1.0.2")), "more than one address of a kind"),
    (alone(1, addresses=("2001:db8::1",)), "an IPv6 address that is no /64"),
]


@pytest.mark.parametrize(("contract", "what"), UNFIT)
def test_what_a_table_cannot_hold_is_refused_by_name(
    tmp_path: Path, contract: Contract, what: str
) -> None:
    path = tmp_path / "unfit.sims"
    with pytest.raises(ConfigError, match="use TOML or CSV") as caught:
        write(path, FAMILY[0], contract)
    assert what in str(caught.value)
    assert f"contract {contract.code}: " in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_limits_of_the_format_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "small.sims"
    monkeypatch.setattr(writing, "FIELD_MAX", 1)
    two = (Coupon("topup", 1, "2013-12"),) * 2
    with pytest.raises(ConfigError, match="2 coupons are more than 1"):
        write(path, Contract("hdd1", "light-start", STARTED, coupons=two))
    with pytest.raises(ConfigError, match="1 gateways at the most"):
        write(path, *(alone(at, teid_up=1, gateway=f"192.0.2.{at}") for at in (1, 2)))
    monkeypatch.setattr(writing, "ROWS_MAX", 1)
    with pytest.raises(ConfigError, match="1 lines at the most; split it"):
        write(path, alone(1), alone(2))
    monkeypatch.setattr(writing, "NAMES_BYTES_MAX", 1)
    with pytest.raises(ConfigError, match="too long for a table"):
        write(path, alone(1))
    assert not path.exists()


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: No such file"):
        write(tmp_path / "nowhere" / "family.sims")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        write(tmp_path / "folder")
    path = write(tmp_path / "family.sims")
    before = path.read_bytes()
    with pytest.raises(ConfigError):
        write(path, alone(1, addresses=("2001:db8::1",)))
    assert path.read_bytes() == before
    assert {one.name for one in tmp_path.iterdir()} == {"family.sims", "folder"}


@pytest.mark.parametrize("at_once", [0, 1 << 20])
def test_a_disk_that_is_full_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(writing, "FLUSH_BYTES", at_once)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written: File too large"):
            write(tmp_path / "full.sims", *(alone(at) for at in range(200)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_lines_are_found_by_every_name_that_they_have(tmp_path: Path) -> None:
    """N6"""
    many = [
        alone(at, imsi=f"44010{at:010}", iccid=f"898103{at:013}", msisdn=f"0900{at:07}")
        for at in range(1, 300)
    ]
    table = opened(tmp_path / "many.sims", *many)
    for at, contract in enumerate(many):
        line = contract.lines[0]
        assert table.find_contract(contract.code) == at
        for name in (line.code, line.imsi, line.iccid):
            assert name is not None
            assert table.find_line(name) == at
        assert contract.code in table.codes.contracts
        assert line.code in table.codes.lines
        assert line.imsi not in table.codes.lines
    for name in ("hdo300", "440109999999999", "8981039999999999999", "", "x" * 17):
        assert table.find_line(name) == -1
        assert table.find_contract(name) == -1
    assert table.line(3).msisdn == "09000000004"
    assert table.contract(0).started == date(2013, 11, 1)

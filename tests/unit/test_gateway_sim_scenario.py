"""Scenario files: what they say, and every way in which they can be wrong."""

import re
from pathlib import Path

import pytest

import gateway_sim
from engine.errors import ConfigError
from gateway_sim import loader
from gateway_sim.scenario import TCP, UDP
from tests.support.scenarios import POPULATION, SMALL, write


def faults(folder: Path, text: str) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        gateway_sim.load(path)
    for line in str(caught.value).splitlines():
        assert re.match(rf"{re.escape(str(path))}:(\d+:)? ", line)
    return str(caught.value)


def test_a_scenario_is_read_as_it_stands(tmp_path: Path) -> None:
    scenario = gateway_sim.load(write(tmp_path, SMALL))
    assert (scenario.name, scenario.title, scenario.seed) == ("made", "Small", 7)
    assert scenario.start_ns == 1_383_602_400 * 10**9
    assert scenario.end_ns - scenario.start_ns == 1_200 * 10**9
    (line,) = scenario.lines()
    dns, browse = line.activities
    assert (dns.server.protocol, dns.every_ns, dns.begin_ns) == (UDP, 15 * 10**9, scenario.start_ns)
    assert (browse.server.protocol, browse.v6, browse.burst_bytes) == (TCP, True, 9_000)
    assert browse.begin_ns - scenario.start_ns == 300_500_000_000
    assert browse.end_ns - scenario.start_ns == 900 * 10**9
    assert scenario.events == (
        '{"at": "2013-11-05T07:10:00.000000001+09:00", "do": "switch", '
        '"line": "hdo90000001", "on": false}',
    )


def test_the_packaged_scenarios_are_found_by_name() -> None:
    assert {"attack", "busy-cell", "cell", "commute", "family"} <= set(loader.names())
    assert dict(loader.titles())["family"] == "A made-up morning of a family of three SIMs"
    family = gateway_sim.load("family")
    (contract,) = family.contracts
    assert (contract.plan, len(contract.lines)) == ("family-share", 3)
    assert sum(coupon.coupon_bytes for coupon in contract.coupons) == 45 << 20
    assert len(list(gateway_sim.load("cell").lines())) == 1_000


def test_a_population_numbers_its_lines(tmp_path: Path) -> None:
    scenario = gateway_sim.load(write(tmp_path, SMALL + POPULATION))
    made = [line for contract in scenario.contracts[1:] for line in contract.lines]
    assert [line.code for line in made] == [f"hdo0000000{n}" for n in range(1, 7)]
    assert [line.addresses for line in made] == [(f"10.64.0.{n}",) for n in range(1, 7)]
    assert made[5].imsi == "440100000000006"
    begins = {line.activities[0].begin_ns - scenario.start_ns for line in made}
    assert len(begins) == 6
    assert all(0 <= begin < 100 * 10**9 for begin in begins)
    assert [contract.code for contract in scenario.contracts[1:]] == ["hdd00000001", "hdd00000002"]
    plain = POPULATION.replace('coupon_bytes = 1_000\nexpires = "2013-12"\nspread_s = 100\n', "")
    text = SMALL.replace("lines = 3\n", "") + plain
    assert gateway_sim.load(write(tmp_path, text)).contracts[1].coupons == ()


@pytest.mark.parametrize(
    "name", ["nothing", "../family", "no/such", "missing.toml", "family.toml/x"]
)
def test_an_unknown_scenario_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"cell, commute, family|cannot be read"):
        gateway_sim.load(name)


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"title = \xff")
    with pytest.raises(ConfigError, match=r"bad\.toml:1: cannot be read as TOML"):
        gateway_sim.load(path)
    assert "Invalid value" in faults(tmp_path, "title =")
    assert "made.toml:2: cannot be read as TOML: Invalid value" in faults(
        tmp_path, "a = 1\nb = =\n"
    )
    path.write_bytes(b"a = 1\nb = 2\nc = '\xff'\n")
    with pytest.raises(ConfigError, match=r"bad\.toml:3: cannot be read as TOML: not UTF-8 \(byte"):
        gateway_sim.load(path)
    assert "too many digits" in faults(tmp_path, SMALL.replace("seed = 7", f"seed = {'9' * 5_000}"))


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "made.toml"
    path.write_bytes(SMALL.encode("utf-8-sig"))
    assert gateway_sim.load(path).title == "Small"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed = 7", "", "seed: is missing"),
        ("seed = 7", "seed = true", "seed: must be an integer"),
        ("seed = 7", "seed = -1", "seed: must be from 0"),
        ("seed = 7", "seed = 1e400", "seed: must be an integer"),
        ("seed = 7", "seed = 7\nsead = 8", "sead: unknown key; allowed: "),
        ("+09:00\nduration", "\nduration", "start: needs an offset"),
        ("start = 2013-11-05T07:00:00+09:00", "start = 5", "start: must be a date and time"),
        ("start = 2013-11-05T07:00:00+09:00", "", "start: is missing"),
        ("start = 2013-11-05", "start = 1969-12-31", "start: must be from 1970-01-02"),
        ("start = 2013-11-05", "start = 0001-01-01", "start: must be from 1970-01-02"),
        ("start = 2013-11-05", "start = 2105-01-02", "start: must be from 1970-01-02"),
        ("start = 2013-11-05", "start = 9999-12-31", "start: must be from 1970-01-02"),
        ("duration_s = 1200", "duration_s = 0", "duration_s: must be from 1"),
        ("[network]", "[net]", "network: is missing"),
        ('pgw = "203.0.113.1"', 'pgw = "2001:db8::1"', "network.pgw: must be an IPv4"),
        ('pgw = "203.0.113.1"', 'pgw = "gw"', "network.pgw: must be an IPv4"),
        (
            'pgw = "203.0.113.1"',
            'pgw = "203.0.113.129"',
            "pgw: must not be the address of the S-GW",
        ),
        ('name = "web"', 'name = "dns"', "server[2].name: 'dns' is the name of another server"),
        ("port = 443", "port = 65536", "server[2].port: must be from 1 to 65535"),
        ('protocol = "udp"', 'protocol = "sctp"', "must be one of tcp, udp"),
        ('name = "web"', 'name = "we\\tb"', "server[2].name: must be 1 to 64 printable"),
        ('kind = "topup"', 'kind = "gift"', "contract[1].coupon[1].kind: must be one of"),
        ('"2013-12"', '"2013-13"', "expires: must be a month"),
        ("bytes = 1_000_000", "bytes = -1", "coupon[1].bytes: must be from 0"),
        ("started = 2013-10-01", "started = 7", "started: must be a date"),
        ('"440109000000001"', '"44010-900000001"', "line[1].imsi: must be 6 to 15 digits"),
        ('"819000000001"', '"8190000000011223"', "line[1].msisdn: must be 5 to 15 digits"),
        ("teid_up = 65536", "teid_up = 0", "teid_up: must be from 1"),
        (
            "teid_up = 65536",
            "teid_up = 65537",
            "teid 65537 of line hdo90000001 is also that of hdo90000001",
        ),
        ('"10.1.0.1",', '"10.1.0.0/24",', "addresses: must be IPv4 addresses"),
        ('"10.1.0.1",', '"terminal",', "addresses: must be IPv4 addresses"),
        ('"2001:db8:0:1::/64"', '"fe80::%1/64"', "addresses: must be IPv4 addresses"),
        ('"10.1.0.1",', "5,", "addresses: must be a list of strings"),
        ('["10.1.0.1", "2001:db8:0:1::/64"]', "[]", "addresses: must be a list of strings"),
        ('["10.1.0.1", ', "[", "activity[1].ipv6: the line has no address"),
        (', "2001:db8:0:1::/64"', "", "activity[2].ipv6: the line has no address"),
        ('address6 = "2001:2::80"', "", "activity[2].server: 'web' has no address6"),
        ('kind = "browse"', 'kind = "telnet"', "activity[2].kind: must be one of browse"),
        ('server = "web"', 'server = "tv"', "activity[2].server: must be one of dns, web"),
        ("from = 07:05:00.5", "from = 07:15:00", "activity[2].from: it must begin"),
        ("from = 07:05:00.5", "from = 06:59:59", "activity[2].from: it must begin"),
        ("to = 07:15:00", "to = 08:00:00", "activity[2].from: it must begin"),
        ("to = 07:15:00", "to = 5", "activity[2].to: must be a time of day"),
        ("from = 07:05:00.5", "from = 5", "activity[2].from: must be a time of day"),
        ("burst_bytes = 9000", "burst_bytes = 9e3", "burst_bytes: must be an integer"),
        ("burst_bytes = 9000", "packet_bytes = 1501", "packet_bytes: must be from 128 to 1500"),
        ("[[event]]", "[[event]]\nnow = 1", "event[1].now: unknown key"),
        ('do = "switch"', 'do = "reboot"', "event[1].do: must be one of switch"),
        ("on = false", "on = 0", "event[1].on: must be true or false"),
        (".000000001+09:00", "", "event[1].at: must be an instant"),
        ("2013-11-05T07:10", "2013-13-05T07:10", "event[1].at: must be an instant"),
        ("2013-11-05T07:10", "2013-11-05T07:60", "event[1].at: must be an instant"),
        (
            'line = "hdo90000001"',
            'line = "hdo9"',
            "event[1].line: no line of the scenario is 'hdo9'",
        ),
    ],
)
def test_a_fault_is_named_by_file_and_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    """B79: as TOML"""
    assert old in SMALL
    assert words in faults(tmp_path, SMALL.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("10.64.0.0/24", "10.64.0.0/33", "population[1].network: must be an IPv4 prefix"),
        ("10.64.0.0/24", "10.64.0.0/30", "has no room for 6 lines"),
        ('expires = "2013-12"\n', "", "population[1].expires: goes together"),
        ("contracts = 2", "contracts = 0", "population[1].contracts: must be from 1"),
    ],
)
def test_a_population_may_be_wrong_too(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert words in faults(tmp_path, SMALL + POPULATION.replace(old, new))


def test_all_faults_come_out_at_once(tmp_path: Path) -> None:
    text = SMALL.replace("seed = 7", "").replace("port = 53", "port = 0")
    assert len(faults(tmp_path, text).splitlines()) == 2


def test_an_event_of_an_unknown_kind_is_one_fault(tmp_path: Path) -> None:
    assert len(faults(tmp_path, SMALL.replace('do = "switch"', 'do = "x"')).splitlines()) == 1


def test_an_event_names_a_contract_that_is_there(tmp_path: Path) -> None:
    event = '[[event]]\nat = "2013-11-05T07:10:00Z"\ndo = "charge"\ncontract = "{}"\ncoupons = 1\n'
    assert "event[2].contract: no contract of" in faults(tmp_path, SMALL + event.format("hdd1"))
    assert len(gateway_sim.load(write(tmp_path, SMALL + event.format("hdd90000001"))).events) == 2


def test_addresses_are_compared_however_they_are_written(tmp_path: Path) -> None:
    """N6"""
    text = SMALL.replace('["10.1.0.1"', '["10.1.0.1/32", "2001:0db8:0:0001:0::/64"')
    found = faults(tmp_path, text)
    assert "address 2001:db8:0:1::/64 of line hdo90000001 is also that of hdo90000001" in found


def test_lines_share_nothing(tmp_path: Path) -> None:
    """N6"""
    twice = SMALL.replace(
        "[[event]]", SMALL[SMALL.index("[[contract]]") : SMALL.index("[[event]]")]
    )
    text = SMALL[: SMALL.index("[[event]]")] + twice[twice.index("[[contract]]") :].split("at =")[0]
    found = faults(tmp_path, text)
    assert "contract: the code hdd90000001 is taken" in found
    for words in ("code hdo90000001", "imsi 4401", "teid 65536", "address 10.1.0.1 "):
        assert words in found


def test_a_scenario_has_lines(tmp_path: Path) -> None:
    head = SMALL[: SMALL.index("[[contract]]")]
    assert "contract: the scenario has no line" in faults(tmp_path, head)
    assert "contract[1]: must be a table" in faults(tmp_path, f"contract = [5]\n{head}")
    no_server = SMALL[: SMALL.index("[[server]]")] + SMALL[SMALL.index("[[contract]]") :]
    assert "server: must be one of" in faults(tmp_path, no_server)


def test_the_books_match_the_scenario(tmp_path: Path) -> None:
    """The engine's own readers take the files, and find in them what the scenario says."""
    from engine import config, subscribers

    scenario = gateway_sim.load(write(tmp_path, SMALL))
    gateway_sim.write_subscribers(scenario, tmp_path / "lines.toml")
    gateway_sim.write_events(scenario, tmp_path / "events.jsonl")
    book = subscribers.load(tmp_path / "lines.toml", config.load(None))
    (contract,) = book.contracts
    (line,) = contract.lines
    (coupon,) = contract.coupons or ()
    assert (contract.code, contract.plan) == ("hdd90000001", "family-share")
    assert (coupon.kind, coupon.bytes, coupon.expires) == ("topup", 1_000_000, "2013-12")
    assert (line.imsi, line.teid_up, line.teid_down) == ("440109000000001", 65_536, 65_537)
    assert line.addresses == ("10.1.0.1", "2001:db8:0:1::/64")
    (event,) = subscribers.events.load(tmp_path / "events.jsonl")
    assert event.at_ns == scenario.start_ns + 600 * 10**9 + 1

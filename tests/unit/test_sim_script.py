"""The live part of a scenario: what it may say, and every fault with its line."""

from pathlib import Path

import numpy as np
import pytest

from engine.errors import ConfigError
from engine.layout import DOWNLINK, UPLINK
from gateway_sim.live.script import ANY, EXEMPT, Asked, numbers
from tests.support.simlive import MS, script_of, text, traffic

ATTACH = 'at_ms = 10\ndo = "attach"\n'


def test_a_script_is_read_in_order_of_time(tmp_path: Path) -> None:
    _, script = script_of(
        tmp_path, ATTACH.replace("10", "20"), ATTACH, traffic(up_bps=16_000, at_ms=5)
    )
    assert [step.at_ns for step in script.steps] == [10 * MS, 20 * MS]
    assert [step.index for step in script.steps] == [1, 0]
    assert script.length_ns == 60_000 * MS


def test_defaults_are_those_of_the_service(tmp_path: Path) -> None:
    """N1, P2"""
    _, script = script_of(tmp_path, ATTACH)
    settings, step = script.settings, script.steps[0]
    assert (settings.slow_bps, settings.slow_burst_bytes) == (200_000, 15_000)
    assert step.asked == Asked(user="mio@iij", password="iij", apn="iijmio.jp")
    assert step.sims.tolist() == list(range(8))


def test_an_attach_may_be_by_3g_with_other_credentials(tmp_path: Path) -> None:
    """N4, N5"""
    body = ATTACH + 'rat = "GERAN"\nauth = "chap"\nuser = "u"\npassword = "p"\napn = "a"\n'
    body += 'network = "208-01"\npdn = "ipv4v6"\nexpect = "refused"\ncauses = [1, 255]\nper_s = 3'
    _, script = script_of(tmp_path, body)
    step = script.steps[0]
    assert step.asked == Asked(2, "chap", "u", "p", "a", ("208", "01"), 3)
    assert (step.expect, step.causes, step.per_s) == ("refused", (1, 255), 3)


def test_traffic_is_a_stream_each_way(tmp_path: Path) -> None:
    _, script = script_of(
        tmp_path, traffic(up_bps=16_000, down_bps=1_600, sims="2-8/3", spread_ms=30, at_ms=7)
    )
    up, down = script.streams
    assert (up.shape.direction, down.shape.direction) == (UPLINK, DOWNLINK)
    assert (up.interval_ns, down.interval_ns) == (100 * MS, 1_000 * MS)
    assert (up.begin_ns, up.length_ns, up.stagger_ns, up.expect) == (7 * MS, 100 * MS, 10 * MS, ANY)
    assert script.sims_of[0].tolist() == [1, 4, 7]


def test_traffic_to_an_exempt_server_is_expected_to_be_exempt(tmp_path: Path) -> None:
    """X1"""
    _, script = script_of(tmp_path, traffic(up_bps=16_000, server="own"))
    assert [stream.expect for stream in script.streams] == [EXEMPT]


def test_ipv6_traffic_goes_to_the_servers_ipv6_address(tmp_path: Path) -> None:
    _, script = script_of(tmp_path, traffic(up_bps=16_000, ipv6=True))
    assert script.streams[0].shape.server == "2001:2:0:1::80"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("all", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("3", [2]),
        ("1-3", [0, 1, 2]),
        ("8,1-8/4, 2", [0, 1, 4, 7]),
        ("1-3,2-4", [0, 1, 2, 3]),
    ],
)
def test_numbers_of_sims(words: str, found: list[int]) -> None:
    assert np.array_equal(numbers(words, 8), found)


@pytest.mark.parametrize(
    "words", ["", "0", "9", "3-2", "1-9", "1-8/0", "x", "1,", "-3", "1-3-5", "1/2"]
)
def test_numbers_that_are_none(words: str) -> None:
    assert numbers(words, 8) is None


FAULTS = [
    (ATTACH + 'sims = "9"', 'sims: must be "all" or numbers'),
    ('at_ms = 60_000\ndo = "attach"', "at_ms: is past the run's end"),
    ('at_ms = 0\ndo = "dance"', "do: must be one of attach, detach, move"),
    (ATTACH + 'network = "440"', "network: must be MCC-MNC"),
    (ATTACH + 'causes = [256]\nexpect = "refused"', "causes: must be a list of causes"),
    (ATTACH + "on = true", "on: unknown key"),
    ('at_ms = 0\ndo = "switch"', "on: is missing"),
    (traffic(), "up_bps: or down_bps must be above 0"),
    (traffic(up_bps=1, packet_bytes=43), "packet_bytes: must be at least 44"),
    (traffic(up_bps=1, packet_bytes=63, ipv6=True), "packet_bytes: must be at least 64"),
    (traffic(up_bps=1, for_ms=60_001), "for_ms: goes on past the run's end"),
    (traffic(up_bps=1_000_000_000, for_ms=50_000), "for_ms: is more than 268435456 bytes"),
    (traffic(up_bps=1, server="mail"), "server: must be a server with protocol udp (news, own)"),
    (traffic(up_bps=1, server="own", ipv6=True), "ipv6: server own has no address6"),
]


@pytest.mark.parametrize(("step", "fault"), FAULTS)
def test_every_fault_is_named_with_its_line(tmp_path: Path, step: str, fault: str) -> None:
    with pytest.raises(ConfigError) as refused:
        script_of(tmp_path, ATTACH, step)
    lines = text(ATTACH, step).splitlines()
    said = str(refused.value).splitlines()[0]
    path, number, rest = said.split(":", 2)
    assert path == str(tmp_path / "made-up.toml")
    assert rest.strip().startswith(f"step[2].{fault}")
    assert 1 <= int(number) <= len(lines)


def test_a_scenario_without_a_live_part_is_not_run(tmp_path: Path) -> None:
    from gateway_sim import load as load_scenario
    from gateway_sim.live.script import load
    from gateway_sim.loader import find

    with pytest.raises(ConfigError, match="live: is missing: this scenario is for `gen`"):
        load(find("family"), load_scenario("family"))


@pytest.mark.parametrize("name", ["live-family", "live-mixed", "live-ten-thousand"])
def test_scenarios_that_come_with_the_program_are_right(name: str) -> None:
    from gateway_sim import load as load_scenario
    from gateway_sim.live.script import load
    from gateway_sim.loader import find

    script = load(find(name), load_scenario(name))
    assert script.steps
    assert {stream.expect for stream in script.streams} >= {"slow", "high", "exempt", "nothing"}

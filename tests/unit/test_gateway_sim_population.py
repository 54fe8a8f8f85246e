"""Populations: who is busy, when, over which radio and which IP; and what may be wrong with them."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import gateway_sim
from engine.errors import ConfigError
from engine.units import NS_PER_S
from gateway_sim.places import find_lines, line_of
from gateway_sim.scenario import EUTRAN, Scenario
from gateway_sim.terminals import PATTERNS
from gateway_sim.traffic import plan
from gateway_sim.traffic.flows import Flows
from tests.support import storm
from tests.support.scenarios import POPULATION, SMALL, write

DAY_S = 86_400


def loaded(folder: Path, population: str, **head: str) -> Scenario:
    text = SMALL.replace("[[event]]", "#").split("at = ")[0] + population
    for old, new in head.items():
        text = re.sub(rf"^{old} = .*$", f"{old} = {new}", text, count=1, flags=re.MULTILINE)
    return gateway_sim.load(write(folder, text))


def starts(scenario: Scenario) -> tuple[Flows, "np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Flows, and the instants of all requests of the lines of populations."""
    activities = [a for line, a in scenario.flows() if line.code < "hdo9"]
    flows = Flows(activities, scenario.midnight_ns)
    found = []
    for window in plan.portions(flows, scenario.start_ns, scenario.end_ns):
        bursts = plan.plan(scenario.seed, flows, scenario.start_ns, window)
        found.append(bursts.start_ns[bursts.slot % 2 == 0])
    return flows, np.concatenate(found)


def test_few_lines_make_most_of_the_traffic(tmp_path: Path) -> None:
    """Zipf: the busiest tenth of 200 lines has more than half, and the mean stays."""
    like = POPULATION.replace("contracts = 2", "contracts = 200").replace("lines = 3", "lines = 1")
    even = loaded(tmp_path, like)
    skewed = loaded(tmp_path, like.replace("spread_s = 100", 'skew = "zipf"'))
    counts = []
    for scenario in (even, skewed):
        flows = Flows([a for line, a in scenario.flows() if line.code < "hdo9"])
        first, past = flows.due(scenario.start_ns, scenario.end_ns)
        counts.append(np.sort(past - first)[::-1])
    assert counts[0][:20].sum() < 0.15 * counts[0].sum()
    assert counts[1][:20].sum() > 0.5 * counts[1].sum()
    assert abs(counts[1].sum() - counts[0].sum()) < 0.1 * counts[0].sum()
    assert counts[1][0] > 20 * counts[1][100]


@pytest.mark.parametrize("pattern", ["residential", "commute", "office"])
def test_bursts_follow_the_hours_of_the_day(tmp_path: Path, pattern: str) -> None:
    """The busiest hour has all of them, the others their percentage, from midnight of the offset on."""
    like = POPULATION.replace("spread_s = 100", f'pattern = "{pattern}"').replace(
        'kind = "dns"\n', 'kind = "dns"\n  every_s = 20\n'
    )
    scenario = loaded(tmp_path, like, duration_s=str(DAY_S))
    assert scenario.start_ns - scenario.midnight_ns == 7 * 3_600 * NS_PER_S
    _, begins = starts(scenario)
    hours = Counter(((begins - scenario.midnight_ns) // (3_600 * NS_PER_S) % 24).tolist())
    for hour, percent in enumerate(PATTERNS[pattern]):
        assert abs(hours[hour] - 6 * 180 * percent / 100) < 100
    listed = like.replace(f'"{pattern}"', str(list(PATTERNS[pattern])))
    assert starts(loaded(tmp_path, listed, duration_s=str(DAY_S)))[1].tolist() == begins.tolist()


def test_an_activity_may_have_hours_of_its_own(tmp_path: Path) -> None:
    like = POPULATION.replace("spread_s = 100", 'pattern = "office"')
    like += '  pattern = "even"\n'
    assert {item.hours for _, item in loaded(tmp_path, like).flows()} == {PATTERNS["even"]}


def test_shares_of_lines_are_drawn(tmp_path: Path) -> None:
    """N2, N4: IPv6, 3G and handovers, each by its own lot."""
    old, new = "spread_s = 1\n", "spread_s = 1\nhandover_percent = 40\ncoupon = false\n"
    path = storm.write(tmp_path, kinds=(), old=old, new=new)
    path.write_text(path.read_text().replace("contracts = 5", "contracts = 100"))
    scenario = gateway_sim.load(path)
    lines = list(scenario.lines())
    assert len(lines) == 200
    six = sum(line.activities[0].v6 for line in lines)
    threes = sum(line.rat != EUTRAN for line in lines)
    moves = [line.moves_ns for line in lines if line.moves_ns]
    assert 70 < six < 130
    assert 70 < threes < 130
    assert 50 < len(moves) < 110
    length_ns = scenario.end_ns - scenario.start_ns
    assert min(moves) >= scenario.start_ns + length_ns // 4
    assert max(moves) < scenario.start_ns + length_ns * 3 // 4
    assert lines[4].addresses == ("10.64.0.5", "2001:db8:8000:5::/64")
    assert not any(line.coupon for line in lines)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("10.64.0.0/20", "2001:db8::/40", ":30: population[1].network: must be an IPv4 prefix"),
        ("2001:db8:8000::/40", "10.0.0.0/8", ":31: population[1].network6: must be an IPv6"),
        ("2001:db8:8000::/40", "2001:db8::/65", "network6: 2001:db8::/65 has no room for 10"),
        ("2001:db8:8000::/40", "2001:db8::/61", "network6: 2001:db8::/61 has no room for 10"),
        ('network6 = "2001:db8:8000::/40"\n', "", "ipv6_percent: needs addresses for IPv6"),
        ("contracts = 5", "contracts = 999_999", "contracts: the scenario would have more than"),
        (
            "ipv6_percent = 50",
            "ipv6_percent = 101",
            ":32: population[1].ipv6_percent: must be from",
        ),
        ("spread_s = 1", 'skew = "steep"', "skew: must be one of even, zipf"),
        ("spread_s = 1", 'pattern = "night"', "pattern: must be one of even, residential"),
        ("spread_s = 1", "pattern = [1, 2]", "pattern: must be 24 integers"),
        ("spread_s = 1", f"pattern = {[50] * 24}", "the highest of them 100"),
        ("spread_s = 1", "handover_percent = 5\nspread_s = 0x" + "f" * 40, "a number this large"),
        ("burst_bytes = 3_000", "burst_bytes = [0x" + "f" * 9_000 + "]", "an integer, not this"),
        ("signalling = true", "handover = 1", "handover: unknown key"),
        ("packets_per_s = 37", "packets_per_s = 0", "attack[1].packets_per_s: must be from 1"),
        ('kind = "fragments"', 'kind = "smurf"', "attack[6].kind: must be one of spoofed-source"),
        ("to = 12:00:08.5", "to = 12:00:02", "attack[1].from: it must begin before"),
    ],
)
def test_a_fault_is_named_by_line_and_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    """B79: as TOML"""
    path = storm.write(tmp_path)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        gateway_sim.load(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}:")


def test_handovers_need_control_messages(tmp_path: Path) -> None:
    like = POPULATION.replace("spread_s = 100", "handover_percent = 100")
    with pytest.raises(ConfigError, match="signalling: must be true where there are handovers"):
        loaded(tmp_path, like)
    text = SMALL.replace("teid_up", "handover = 06:00:00\n  teid_up")
    with pytest.raises(ConfigError, match="handover: must be within the scenario"):
        gateway_sim.load(write(tmp_path, text))


def test_an_attack_needs_a_tunnel(tmp_path: Path) -> None:
    """of a line whose first address is IPv4"""
    text = SMALL.replace('"10.1.0.1", ', "").replace('"dns"\n\n', '"dns"\n    ipv6 = true\n\n')
    text = text.replace("port = 53", 'address6 = "2001:2::53"\nport = 53')
    text += '[[attack]]\nkind = "unknown-teid"\npackets_per_s = 1\n'
    with pytest.raises(ConfigError, match="attack: needs a line whose first address is IPv4"):
        gateway_sim.load(write(tmp_path, text))


def test_bursts_at_a_rate_may_not_be_too_many(tmp_path: Path) -> None:
    """Bounded memory and time: 8 bytes at 10 Gbit/s would be a burst every 6 ns."""
    text = SMALL.replace('"browse"', '"download"').replace("burst_bytes = 9000", "burst_bytes = 8")
    with pytest.raises(ConfigError, match="burst_bytes: is too little for its rate"):
        gateway_sim.load(write(tmp_path, text))


def test_what_is_for_live_runs_is_handed_through(tmp_path: Path) -> None:
    text = SMALL + "[live]\nanything = [1, 2]\n[[step]]\nat_s = 1\n"
    scenario = gateway_sim.load(write(tmp_path, text))
    assert (scenario.live, scenario.steps) == ({"anything": [1, 2]}, ({"at_s": 1},))
    assert scenario.path == str(tmp_path / "made.toml")


def test_too_many_faults_are_counted(tmp_path: Path) -> None:
    text = SMALL + "\n".join(f"[[server]]\nname = {number}" for number in range(40))
    with pytest.raises(ConfigError) as caught:
        gateway_sim.load(write(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 51
    assert "more faults" in str(caught.value).splitlines()[-1]


def test_a_file_may_be_too_large_or_too_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded memory"""
    path = write(tmp_path, "a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        gateway_sim.load(path)
    monkeypatch.setattr("gateway_sim.document.FILE_BYTES_MAX", 1_000)
    with pytest.raises(ConfigError, match="is larger than 1000 bytes"):
        gateway_sim.load(path)


def test_lines_of_keys_however_they_are_written() -> None:
    text = """# first
a.b = 1
"c d" = { e = 2, f.g = [
  3,
  { h = 4 },
] }
[x]          # a table
y = 5
[[p]]
q = 1
[[p]]
[p.r]
s = 2
[[p.t]]
u = 3
"""
    lines = find_lines(text)
    wanted = {
        ("a",): 2,
        ("a", "b"): 2,
        ("c d", "e"): 3,
        ("c d", "f", "g"): 3,
        ("c d", "f", "g", 0): 4,
        ("c d", "f", "g", 1, "h"): 5,
        ("x",): 7,
        ("x", "y"): 8,
        ("p",): 9,
        ("p", 0, "q"): 10,
        ("p", 1): 11,
        ("p", 1, "r"): 12,
        ("p", 1, "r", "s"): 13,
        ("p", 1, "t", 0, "u"): 15,
    }
    assert {path: lines[path] for path in wanted} == wanted
    assert line_of(lines, ("p", 1, "r", "missing", 0)) == 12
    assert line_of(lines, ("missing",)) == 1

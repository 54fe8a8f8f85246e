"""What the benchmarks say: ratios, what was left out, the document and the table."""

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from bench import built, draw, machine, places, report, rounds, run
from bench.rounds import Round, Row
from bench.run import LeftOut, Options, Result
from engine.clock import elapsed_ns
from engine.errors import PktollError, UsageError
from tests.support.benches import check, row

FOUND = [
    row("pktoll", [2.0, 4.0, 3.0]),
    row("srTCM/16", [4.0, 6.0, 9.0]),
    row("pktoll", [1.0, 2.0, 2.0], cores=2),
    row("srTCM/16", [2.0, 4.0, 4.0], cores=2),
]


def document(rows: list[Row], **fields: Any) -> dict[str, Any]:
    """Of a result with these rows."""
    result = Result(Options(), rows, **fields)
    result.load.append(machine.load())
    made = report.as_json(result)
    check(made)
    return made


def test_ratios_are_taken_round_by_round() -> None:
    """Above 1 we are faster: on as many cores, and two cores beside one"""
    ours, peer, ours_2, peer_2 = document(FOUND)["rows"]
    assert peer["times_as_fast"] == {"median": 2.0, "min": 1.5, "max": 3.0}
    assert peer_2["times_as_fast"] == {"median": 2.0, "min": 2.0, "max": 2.0}
    assert ours_2["times_one_core"] == {"median": 2.0, "min": 1.5, "max": 2.0}
    assert peer_2["times_one_core"]["median"] == 2.0
    assert not {"times_as_fast", "times_one_core"} & ours.keys()


def test_a_planted_slow_peer_shows_in_its_ratio() -> None:
    """One that waits ten times as long as another"""

    def waits(ns: int) -> rounds.Runner:
        def runner() -> Round:
            begin_ns = elapsed_ns()
            while elapsed_ns() - begin_ns < ns:
                pass
            return Round(elapsed_ns() - begin_ns)

        return runner

    kept = rounds.turns({"pktoll": waits(100_000), "slow": waits(1_000_000)}, 3)
    made = document([row(name, [r.ns for r in of_name]) for name, of_name in kept.items()])
    assert made["rows"][1]["times_as_fast"]["median"] > 3


def test_a_peer_of_one_core_is_compared_with_ours_on_two() -> None:
    peer = row("pcap_read", [6.0, 6.0, 6.0])
    found = document([FOUND[0], FOUND[2], peer])["rows"][2]
    assert found["times_as_fast"]["median"] == 2.0
    assert found["times_as_fast_2_cores"] == {"median": 3.0, "min": 3.0, "max": 6.0}


def test_processor_time_is_compared_where_it_was_measured() -> None:
    ours = row("pktoll", [2.0], cpu_ns=2.0)
    found = document([ours, row("pmacctd", [9.0], cpu_ns=30.0), row("mute", [9.0])])["rows"]
    assert found[1]["times_the_cpu"]["median"] == 15.0
    assert "times_the_cpu" not in found[2]


def test_nobody_always_follows_the_same_one() -> None:
    """And all run equally often; the first round is not kept"""
    ran: list[str] = []

    def runner(name: str) -> rounds.Runner:
        def run_it() -> Round:
            ran.append(name)
            return Round(1.0)

        return run_it

    kept = rounds.turns({name: runner(name) for name in "abc"}, 5)
    assert {name: len(found) for name, found in kept.items()} == {"a": 5, "b": 5, "c": 5}
    followed = {
        pair for at in range(0, 18, 3) for pair in zip(ran[at:], ran[at + 1 : at + 3], strict=False)
    }
    assert {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")} <= followed
    assert len(rounds.turns({"a": runner("a")}, 2, unkept=0)["a"]) == 2


def test_the_table_says_what_the_document_says() -> None:
    text = "\n".join(report.table(document(FOUND), verbose=True))
    assert "meter: 1,000 SIMs, uniform, mix" in text
    assert "its one core x 2.00 (1.50 to 2.00)" in text
    assert "rounds: 4.00 6.00 9.00" in text
    assert text.count("srTCM: DPDK's rte_meter, RFC 2697") == 1
    assert list(report.table(document([]))) == []


def test_programs_show_their_start_and_their_count() -> None:
    fields: dict[str, Any] = {
        "packets": 90,
        "cpu_ns": 5.0,
        "start_s": 0.5,
        "whole_s": 1.5,
        "whole_cpu_s": 1.25,
    }
    found = row("pmacctd", [9.0], **fields)._replace(section="programs", choice="", size=100)
    made = document(
        [row("pktoll", [3.0], **fields)._replace(section="programs", choice="", size=100), found]
    )
    assert made["rows"][1]["seen_packets"] == 90
    text = "\n".join(report.table(made))
    assert "starts in 0.50 s, ends after 1.50 s with 1.25 s of CPU; counted 90 packets" in text
    assert "pmacctd: the same with its usual buffers" in text


def test_what_was_left_out_is_in_the_document() -> None:
    made = document(FOUND, left_out=[LeftOut("meter_srtcm", "no DPDK headers")])
    assert made["left_out"] == [{"what": "meter_srtcm", "why": "no DPDK headers"}]


def test_the_schema_takes_no_other_document() -> None:
    """Planted: a field too many, a negative size, an empty reason"""
    made = document(FOUND)
    for broken in (
        made | {"more": 1},
        made | {"rows": [made["rows"][0] | {"size": -1}]},
        made | {"left_out": [{"what": "x", "why": ""}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check(broken)


def test_options_say_what_cannot_be_measured() -> None:
    assert Options(sections=("api", "meter", "service")).checked().sections == ("service", "meter")
    assert Options(sections=()).checked().sections == run.USUAL
    quick = Options(quick=True).checked()
    assert (quick.rounds, quick.sims, quick.packets) == (1, run.QUICK_SIMS, run.QUICK_PACKETS)
    assert Options(quick=True, sims=(7,), packets=500).checked().packets == 500
    usual = Options()
    for wrong in (
        replace(usual, sections=("speed",)),
        replace(usual, choices=("often",)),
        replace(usual, cores=(3,)),
        replace(usual, sizes=("huge",)),
        replace(usual, sims=(1,)),
        replace(usual, packets=100),
    ):
        with pytest.raises(UsageError):
            wrong.checked()


def test_the_batch_is_as_long_in_c(project: Any) -> None:
    text = (project / "bench" / "peers" / "meter_packet.h").read_text()
    assert f"BATCH = {draw.BATCH} " in text


def test_reasons_are_those_of_the_script() -> None:
    said = [
        "no DPDK headers: meter_srtcm and meter_trtcm left out",
        "pcap_read does not build: left out",
    ]
    assert built._why("meter_trtcm", said) == said[0]
    assert built._why("pcap_read", said) == said[1]
    assert built._why("count", ["no C compiler (cc): no peers are built"]).startswith(
        "no C compiler"
    )
    assert built._why("count", []) == "does not build"


def test_programs_are_built_beside_the_sources_or_in_the_users_cache(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never among installed packages; and what others may write is not run"""
    monkeypatch.delenv(places.FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert places.build_folder() == places.HERE / "build"
    installed = tmp_path / "site-packages" / "bench"
    folder = places.build_folder(installed)
    assert folder.parent == tmp_path / "cache" / "pktoll"
    assert places.captures_folder(installed) == folder.with_name("bench-captures")
    assert places.captures_folder() == places.HERE / "build"
    places.make(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(PktollError, match="others may write it"):
        places.make(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(PktollError, match="cannot be made"):
        places.make(tmp_path / "file" / "below")
    monkeypatch.setenv(places.FOLDER, str(tmp_path / "own"))
    assert places.build_folder() == tmp_path / "own"


def test_facts_of_a_machine_that_says_little(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = tmp_path / "none"
    assert (places.cpu_model(nothing), machine.memory_bytes(nothing)) == ("", 0)
    monkeypatch.setenv("CC", "no-such-compiler")
    assert machine.compiler() == ""
    assert machine.facts().keys() == document([])["machine"].keys()

"""docs/accuracy.md: its tables are what the command makes, and our rows are made anew here."""

import os
from pathlib import Path

import pytest

from bench import accuracy, accuracy_tables, polling, srtcm, streams, tc
from bench.windows import BIT_NS_PER_BYTE
from tests.conftest import JIT_OFF


def block(project: Path, name: str) -> list[str]:
    """The rows of a table of the document, without its head."""
    text = (project / "docs" / "accuracy.md").read_text(encoding="utf-8")
    (found,) = (m for m in accuracy_tables.MARKED.finditer(text) if m["name"] == name)
    lines: list[str] = found[0].splitlines()[1:-1]
    return lines[2:]


def test_the_document_shows_every_rate_and_size(project: Path) -> None:
    """P5: 36 rows, in the order of the cells"""
    cells = dict.fromkeys((cell.rate_bps, cell.size) for cell in streams.every_cell())
    names = [f"| {accuracy_tables.rate_name(rate)} | {size} |" for rate, size in cells]
    rows = block(project, "ours")
    assert [row[: len(name)] for row, name in zip(rows, names, strict=True)] == names


def test_our_rows_are_what_the_engine_does_now(project: Path) -> None:
    """P5, U4: rows of the table made anew and compared; without the JIT, one of them"""
    wanted = {(112_500_000, "1400")} if JIT_OFF else {
        (rate, size) for rate in streams.RATES for size in ("1400", "IMIX")
    }  # fmt: skip
    cells = [cell for cell in streams.every_cell() if (cell.rate_bps, cell.size) in wanted]
    found = streams.measure(cells)
    rows = accuracy_tables.ours(found).splitlines()[2:]
    assert len(rows) == len(wanted)
    assert set(rows) <= set(block(project, "ours")), "run: ./dev accuracy --write docs/accuracy.md"
    nothing = polling.Polled(0, 0, 0, 0)
    assert accuracy.faults(accuracy.Results(found, [], nothing, "", "")) == []


def test_the_rows_at_the_edge_are_what_the_engine_does_now(project: Path) -> None:
    """P5: a packet as large as the burst, and one that is larger: no more than the proof allows"""
    cells = [cell for cell in accuracy.edges() if cell.rate_bps == 112_500_000 or not JIT_OFF]
    found = streams.measure(cells)
    rows = accuracy_tables.edges(found).splitlines()[2:]
    assert set(rows) <= set(block(project, "edges"))
    assert len(block(project, "edges")) == len(accuracy.edges())
    nothing = polling.Polled(0, 0, 0, 0)
    assert accuracy.faults(accuracy.Results([], found, nothing, "", "")) == []
    assert any(one.excess_bytes for one in found), "the edge is not reached"


@pytest.mark.parametrize("high", [False, True])
def test_a_bucket_looked_at_every_30_us_lets_out_every_byte_it_earns(high: bool) -> None:
    """P5: a second of it; three quarters of a byte between two looks"""
    found = polling.run(1, high)
    assert found == polling.Polled(1, 33_333, 1_500 + 24_999, 1_500 + 24_999)


@pytest.mark.jit
@pytest.mark.parametrize("high", [False, True])
def test_a_bucket_looked_at_for_twenty_minutes_has_not_drifted(high: bool) -> None:
    """P5: 40 million looks at 200 kbit/s, at slow and at high speed; the table has two hours"""
    found = polling.run(1_200, high)
    assert found.looks == 40_000_000
    assert found.out_bytes == found.earned_bytes == 1_500 + 30_000_000 - 1


def test_the_two_hours_of_the_document_are_exact(project: Path) -> None:
    """P5"""
    (row,) = block(project, "polled")
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == ["30 us", "7200 s", "240000000"]
    assert cells[4] == cells[5] == str(1_500 + 7_200 * 25_000 - 1)


# --- the peers' figures: from made-up departures, whose figures are known ----------------------------


def test_a_discipline_is_judged_in_frames_and_told_in_ip_bytes_too() -> None:
    """P5: 986 bytes of IP are 1 000 of frame; 2 at once, then exactly 8 kbit/s"""
    link = tc.Link("tbf", 8_000, 986, 2_000, 1)
    frames = [[0, 986], *([k * 10**9, 986] for k in range(100))]
    found = tc.judge(link, frames)
    assert (found.frame_bps, found.ip_bps, found.error_ppm) == (8_000, 7_888, 0)
    assert (found.over_bytes, found.frames, found.spacing_ns) == (0, 101, 10**9)
    fast = tc.judge(link, [[0, 986], [0, 986], *([k * 10**9, 986] for k in range(100))])
    assert fast.over_bytes == 1_000
    with pytest.raises(RuntimeError, match="let 3 frames out"):
        tc.judge(link, frames[:3])


def test_a_marker_is_judged_by_its_step_and_by_what_was_green() -> None:
    """P5: 9 bytes every 8 us are an eighth more than 8 Mbit/s, seen and by rounding"""
    spacing_ns = srtcm.SIZE_BYTES * 8_000 // 9 + 1
    green = [0] * 10 + [k * spacing_ns for k in range(1, 101)]
    found = srtcm.judge(8_000_000, (8_000, 9), green, 1)
    assert found.rounding_ppm == 125_000
    assert found.seen_ppm == pytest.approx(125_000, abs=1)
    window = 100 * spacing_ns * 8_000_000 / BIT_NS_PER_BYTE
    assert found.over_bytes == pytest.approx(100 * srtcm.SIZE_BYTES - window)


def test_tables_are_laid_between_their_markers_and_nowhere_else() -> None:
    """What was not measured stays; a marker that is not there is an error."""
    text = (
        "a\n<!-- begin x: how -->\nold\n<!-- end x -->\n<!-- begin y: how -->\nb\n<!-- end y -->\n"
    )
    laid = accuracy_tables.laid_into(text, {"x": "new"})
    assert laid == text.replace("old", "new")
    with pytest.raises(ValueError, match="no marker for: z"):
        accuracy_tables.laid_into(text, {"z": ""})


def test_small_figures_are_not_shown_as_nothing() -> None:
    assert [accuracy_tables.decimal(value, 3) for value in (0, 0.25, 1e-9, -1e-9, 12.0)] == [
        "0",
        "0.25",
        "<0.001",
        "-<0.001",
        "12",
    ]
    assert [accuracy_tables.rate_name(rate) for rate in (7, 50_000, 112_500_000, 10**9)] == [
        "7 bit/s",
        "50 kbit/s",
        "112.5 Mbit/s",
        "1 Gbit/s",
    ]


def test_disciplines_are_measured_where_that_is_possible() -> None:
    """Frames come through both, in order, and the namespaces are gone afterwards."""
    why = tc.missing()
    if why:
        pytest.skip(f"tbf and htb cannot be measured here: {why}")
    links = [
        tc.Link(discipline, 4_000_000, 500, 3_000, number)
        for number, discipline in enumerate(tc.DISCIPLINES)
    ]
    found = tc.measure(links, 0.3)
    assert [one.link for one in found] == links
    assert all(one.frames >= tc.FEWEST for one in found)
    spaces = Path("/run/netns")
    left = [path.name for path in spaces.iterdir()] if spaces.exists() else []
    assert not any(name.startswith(f"pktoll-{os.getpid()}-") for name in left)

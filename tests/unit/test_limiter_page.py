"""docs/speed.md says what the limiter does: its worked example is played, and its table made anew."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from engine import config
from engine.subscribers import Switch
from engine.units import MB
from tests.support.gateway import MS, PLAN, SERVER, T0, UE, book, gateway, line, names, train

SIZE = 1_500
SHOWN = (1, 10, 11, 12, 20, 21, 52, 53, 60, 61, 62, 63, 64, 73, 74, 75)
MARKED = re.compile(r"(<!-- begin example -->\n).*?(<!-- end example -->\n)", re.S)


@dataclass(frozen=True)
class Row:
    """A packet of the example, with times in ns since the first one."""

    number: int
    arrival_ns: int
    verdict: str
    departure_ns: int


def example() -> list[Row]:
    """The example of the page, on the packaged settings with the plan under the name of the book."""
    base = config.load(None)
    plan = replace(base.plan("light-start"), name=PLAN)
    settings = replace(base, plans=(plan,), default_plan=PLAN)
    engine = gateway(book(line(coupon=False), coupon_bytes=10 * MB), settings=settings)
    engine.schedule([Switch(T0 + 600 * MS, "a", True), Switch(T0 + 3_000 * MS, "a", False)])
    trains = [
        train(count, 0, SERVER, UE, start_ns=T0 + at_ms * MS, length=SIZE)
        for count, at_ms in ((60, 0), (2, 700), (1, 2_600), (12, 3_000))
    ]
    batch = np.concatenate(trains)
    verdicts = engine.process(batch)
    engine.close()
    times = (batch["time_ns"] - T0).tolist()
    out = [max(0, ns - T0) for ns in verdicts["departure_ns"].tolist()]
    numbers = range(1, len(batch) + 1)
    return [Row(*row) for row in zip(numbers, times, names(verdicts), out, strict=True)]


def table(rows: list[Row]) -> str:
    """The rows that the page shows, as it shows them."""
    lines = ["| packet | arrives, ms | verdict | leaves, ms |", "| --- | --- | --- | --- |"]
    for row in rows:
        if row.number in SHOWN:
            leaves = "dropped" if row.verdict == "queue" else f"{row.departure_ns / MS:.6f}"
            name = f"{row.number} | {row.arrival_ns // MS} | {row.verdict} | {leaves}"
            lines.append(f"| {name} |")
    return "\n".join(lines)


def test_the_worked_example_is_what_the_engine_does(project: Path, regen: bool) -> None:
    """P2, P3, P4: the page's table is made from the engine; `--regen` writes it"""
    path = project / "docs" / "speed.md"
    text = path.read_text(encoding="utf-8")
    wanted = MARKED.sub(lambda m: f"{m[1]}{table(example())}\n{m[2]}", text)
    if regen:
        path.write_text(wanted, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == wanted, "run this file with --regen"
    assert len(MARKED.findall(text)) == 1


def test_the_words_around_the_example_are_true() -> None:
    """P3, P4, P5: burst, queue, tail, what is queued at the switch, and what follows it"""
    rows = example()
    out = {row.number: row.departure_ns for row in rows}
    assert [out[k] for k in range(1, 11)] == [0] * 10
    assert [out[k] for k in range(11, 53)] == [60 * MS * k for k in range(1, 43)]
    assert [row.number for row in rows if row.verdict == "queue"] == list(range(53, 61))
    assert sum(1 for k in range(1, 53) if out[k] > 600 * MS) == 32
    assert (out[20], out[21]) == (600 * MS, 660 * MS)
    assert [out[61], out[62]] == [2_520 * MS + 106_667, 2_520 * MS + 213_334]
    assert out[63] == 2_600 * MS
    assert [out[k] for k in range(64, 76)] == [3_000 * MS] * 10 + [3_060 * MS, 3_120 * MS]
    kept = [row.departure_ns for row in rows if row.verdict != "queue"]
    assert kept == sorted(kept)


@pytest.mark.parametrize(
    ("state", "rate_bps", "least"), [("slow", 200_000, "bytes"), ("restricted", 50_000, "time")]
)
def test_the_packaged_limits_are_those_of_the_page(state: str, rate_bps: int, least: str) -> None:
    """P2, P4, R4: rates, and which of the two limits of a queue counts"""
    limit = getattr(config.load(None).speed, state)
    assert (limit.rate_bps, limit.burst_bytes, limit.queue_bytes) == (rate_bps, 15_000, 64_000)
    in_time = limit.queue_ms * rate_bps // 8_000
    assert (in_time > limit.queue_bytes) == (least == "bytes")

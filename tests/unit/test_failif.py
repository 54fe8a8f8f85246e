"""`--fail-if`: FIELD OP NUMBER, compared exactly."""

from typing import Any

import pytest

from engine.errors import UsageError
from engine.replay import Condition

DOCUMENT: dict[str, Any] = {
    "totals": {"packets": 7, "dropped_bytes": 2**53 + 1},
    "drops": {"queue": {"packets": 3, "bytes": 900}},
    "capture": {"truncated_at": None, "files": ["a.pcap"]},
    "sims": [{"imsi": "1", "coupon": True, "up": {"max_delay_ns": 12}}],
    "timing": {"packets_per_s": 1.5},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("packets < 7", False),
        ("packets < 8", True),
        ("packets <= 7", True),
        ("packets <= 6", False),
        ("packets == 7", True),
        ("packets == 8", False),
        ("packets != 7", False),
        ("packets != 8", True),
        ("packets >= 7", True),
        ("packets >= 8", False),
        ("packets > 7", False),
        ("packets > -1", True),
        ("packets>6", True),
        ("  packets  >  6.5 ", True),
        ("packets > 7.0", False),
        ("totals.packets == 7", True),
        ("timing.packets_per_s < 1.6", True),
        ("drops.queue.packets == 3", True),
        ("drops.teid.packets == 0", True),
        ("drops.teid.bytes > 0", False),
        ("sims.0.up.max_delay_ns == 12", True),
    ],
)
def test_a_condition_holds_or_not(text: str, expected: bool) -> None:
    condition = Condition.parse(text)
    assert condition.holds(DOCUMENT) is expected
    assert condition.text == text.strip()


def test_large_numbers_are_compared_as_they_are() -> None:
    """U4: 2^53 + 1 is no float"""
    assert Condition.parse(f"dropped_bytes > {2**53}").holds(DOCUMENT)
    assert not Condition.parse(f"dropped_bytes > {2**53 + 1}").holds(DOCUMENT)


@pytest.mark.parametrize(
    "text",
    [
        *("", "packets", "packets > ", "> 3", "packets => 3", "packets > x", "packets > 3 4"),
        *("packets = 3", "packets > 1e3", "a..b > 1", ".a > 1", "packets > ٣", "päckets > 3"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--fail-if .*: write FIELD OP NUMBER, such as"):
        Condition.parse(text)


@pytest.mark.parametrize(
    "field",
    [
        *("nothing", "totals.nothing", "totals.packets.more", "drops.queue.nothing"),
        *("sims.1.up.packets", "sims.x.up.packets", "nowhere.at_all"),
    ],
)
def test_a_field_that_the_report_has_not(field: str) -> None:
    with pytest.raises(UsageError, match="the report has no field "):
        Condition.parse(f"{field} > 0").holds(DOCUMENT)


@pytest.mark.parametrize("field", ["sims.0.imsi", "sims.0.coupon", "capture.files", "drops.queue"])
def test_a_field_that_is_no_number(field: str) -> None:
    with pytest.raises(UsageError, match=f"{field} is not a number"):
        Condition.parse(f"{field} > 0").holds(DOCUMENT)


def test_what_is_null_meets_no_condition() -> None:
    """such as the offset of a cut that is not there"""
    document = {"capture": {"truncated_at": None}}
    assert not Condition.parse("capture.truncated_at >= 0").holds(document)
    assert not Condition.parse("capture.truncated_at != 0").holds(document)


@pytest.mark.parametrize(
    "field", ["totals.nothing", "sims.0.up.nothing", "sims.0.imsi", "drops.queue"]
)
def test_a_field_that_no_report_has_is_refused_before_anything_is_read(field: str) -> None:
    with pytest.raises(UsageError, match=f"{field} is not a number|has no field {field}"):
        Condition.parse(f"{field} > 0")


def test_a_reason_that_does_not_exist_is_no_guard() -> None:
    with pytest.raises(UsageError, match="no packet is dropped for 'spof'; there are: short, "):
        Condition.parse("drops.spof.packets > 0")

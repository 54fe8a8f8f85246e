"""Checks of what was counted: the gateway's figures against what this side sent and got (I1, I6, G3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.layout import DOWNLINK, UPLINK
from engine.units import MB, SLICE_BYTES_MAX
from gateway_sim.live.checks_speed import lossless
from gateway_sim.live.figures import SKIPPED, Figures, Found, Ints
from gateway_sim.live.fleet import CLOSED, OPEN
from gateway_sim.live.script import CHARGE, EXEMPT, HIGH, SLOW

COUPON_BYTES = 100 * MB
"""an additional coupon (C3)"""
FORWARDED = ("charged_bytes", "slow_bytes", "exempt_bytes", "free_bytes")
_NEW: dict[str, Any] = {
    "granted_bytes": 0,
    "grants": 0,
    "balance_bytes": 0,
    "up": {"charged_bytes": 0},
    "down": {"charged_bytes": 0},
}
"""a SIM of which the gateway had not heard before the run"""
_WAYS = ((UPLINK, "up"), (DOWNLINK, "down"))


class _Sums:
    """Sums over packets sent, by SIM and direction."""

    def __init__(self, figures: Figures) -> None:
        self._length = figures.length
        self._key = figures.sent["sim"] * 2 + figures.direction
        self._rows = 2 * len(figures.codes)

    def of(self, chosen: Any) -> Ints:
        """(packets, bytes) of those chosen: [SIM, direction, 2]."""
        total = np.zeros((self._rows, 2), np.int64)
        at = np.flatnonzero(chosen)
        np.add.at(total[:, 0], self._key[at], 1)
        np.add.at(total[:, 1], self._key[at], self._length[at])
        return total.reshape(-1, 2, 2)


@dataclass(frozen=True)
class _Counted:
    """By how much the counters of a SIM and direction went up in the run."""

    sim: int
    direction: int
    where: str
    rise: dict[str, int]

    @property
    def forwarded(self) -> tuple[int, int]:
        """Packets and bytes that the gateway let out."""
        packets = self.rise["packets"] - self.rise["dropped_packets"]
        return packets, sum(self.rise[name] for name in FORWARDED)


def _counted(figures: Figures, found: Found) -> Iterator[_Counted]:
    """Each SIM's counters; none, and the check is skipped, where the gateway was not asked."""
    if figures.before is None or figures.after is None:
        found.status = SKIPPED
        found.faults.append("the gateway's service was not asked")
        return
    before, after = (
        {sim["code"]: sim for sim in s["sims"]} for s in (figures.before, figures.after)
    )
    for sim, code in enumerate(figures.codes):
        new = after.get(code)
        if new is None:
            found.fault(f"{code}: is not among the gateway's SIMs")
            continue
        old = before.get(code, {"up": {}, "down": {}})
        for direction, way in _WAYS:
            rise = {
                name: int(value) - int(old[way].get(name, 0)) for name, value in new[way].items()
            }
            yield _Counted(sim, direction, f"{code} {way}", rise)


def counts(figures: Figures) -> Found:
    """For each SIM and direction: counted = sent in a session; forwarded = arrived; the rest was dropped.

    Exact, in packets and bytes. Where a session ended while packets were on their way, the counts lie
    between what was surely in it and all that may have been.
    """
    found = Found("counts on both sides", "I6, U3")
    sums, state = _Sums(figures), figures.state
    least, most = sums.of(state == OPEN), sums.of(state != CLOSED)
    came = sums.of(figures.copies > 0)
    uncertain = 0
    for counted in _counted(figures, found):
        at = counted.sim, counted.direction
        low, high = tuple(least[at]), tuple(most[at])
        seen = counted.rise["packets"], counted.rise["inner_bytes"]
        uncertain += low != high
        if not (low[0] <= seen[0] <= high[0] and low[1] <= seen[1] <= high[1]):
            span = str(_plain(low)) if low == high else f"{_plain(low)} to {_plain(high)}"
            found.fault(f"{counted.where}: counted {seen}, sent {span} (packets, bytes)")
        gone, got = counted.forwarded, tuple(came[at])
        # what waited in the queue when its session ended was counted, and went nowhere
        if gone != got and (low == high or gone[0] < got[0] or gone[1] < got[1]):
            found.fault(
                f"{counted.where}: forwarded {gone}, arrived {_plain(got)} (packets, bytes)"
            )
    found.figures = {
        "sent_in_sessions_packets": int(least[..., 0].sum()),
        "sent_in_sessions_bytes": int(least[..., 1].sum()),
        "arrived_packets": int(came[..., 0].sum()),
        "arrived_bytes": int(came[..., 1].sum()),
        "uncertain": uncertain,
    }
    return lossless(found, figures)


def _plain(pair: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(int(value) for value in pair)


def classes(figures: Figures) -> Found:
    """What arrived of a stream is counted in the class that the script expects (P1, P2, X3)."""
    found = Found("classes", "P1, P2, X3")
    sums = _Sums(figures)
    fit = (figures.copies > 0) & (figures.state == OPEN)
    expected = {}
    for expect in (EXEMPT, SLOW, HIGH):
        table = np.array([stream.expect == expect for stream in figures.script.streams], bool)
        expected[expect] = sums.of(fit & table[figures.sent["stream"]])[..., 1]
    for counted in _counted(figures, found):
        rise = counted.rise
        seen = {
            EXEMPT: rise["exempt_bytes"],
            SLOW: rise["slow_bytes"],
            HIGH: rise["charged_bytes"] + rise["free_bytes"],
        }
        for expect, bytes_ in expected.items():
            least = int(bytes_[counted.sim, counted.direction])
            if seen[expect] < least:
                found.fault(
                    f"{counted.where}: {seen[expect]} bytes counted as {expect}, {least} arrived that are"
                )
    found.figures = {f"{expect}_bytes": int(bytes_.sum()) for expect, bytes_ in expected.items()}
    return found


def own_figures(figures: Figures) -> Found:
    """The data plane's own figures: it took in what was sent to it, and let out what arrived."""
    found = Found("gateway's own figures", "I6, N7")
    own = (figures.report or {}).get("gateway")
    if not own:
        found.status = SKIPPED
        found.faults.append("the gateway goes on: its own figures are not told")
        return found
    came = figures.copies > 0
    up, down = figures.direction == UPLINK, figures.direction == DOWNLINK
    pairs = {
        "G-PDUs that came in": (own["messages"].get("g-pdu", 0), int(up.sum())),
        "packets let out to the network": (own["up"]["packets"], int((up & came).sum())),
        "packets let out to terminals": (own["down"]["packets"], int((down & came).sum())),
    }
    for name, (told, seen) in pairs.items():
        if told != seen:
            found.fault(f"{name}: {told} by the gateway's count, {seen} by this side's")
    hold = own["hold"]
    if hold["no_room_packets"]:
        found.fault(
            f"{hold['no_room_packets']} packets were counted as let out and had no room to wait"
        )
    found.figures = {
        "waited_at_most": hold["packets_max"],
        "late_ns_max": hold["late_max_ns"],
        "closed_packets": hold["closed_packets"],
    }
    return lossless(found, figures)


def balances(figures: Figures) -> Found:
    """For each SIM: balance before + slices - charged = balance now; no slice above 10 MB (I1, I2)."""
    found = Found("balances", "D2, D4, D7, I1, I2")
    if figures.before is None or figures.after is None:
        found.status = SKIPPED
        found.faults.append("the gateway's service was not asked")
        return found
    before = {sim["code"]: sim for sim in figures.before["sims"]}
    granted = charged = slices = 0
    for sim in figures.after["sims"]:
        old = before.get(sim["code"], _NEW)
        given = sim["granted_bytes"] - old["granted_bytes"]
        grants = sim["grants"] - old["grants"]
        used = sum(sim[way]["charged_bytes"] - old[way]["charged_bytes"] for _, way in _WAYS)
        if old["balance_bytes"] + given - used != sim["balance_bytes"]:
            found.fault(
                f"{sim['code']}: {old['balance_bytes']} + {given} handed out - {used} charged is not "
                f"{sim['balance_bytes']}"
            )
        if sim["balance_bytes"] < 0 or not 0 <= given <= grants * SLICE_BYTES_MAX:
            found.fault(
                f"{sim['code']}: {given} bytes in {grants} slices, {sim['balance_bytes']} left"
            )
        granted, charged, slices = granted + given, charged + used, slices + grants
    found.figures = {"slices": slices, "granted_bytes": granted, "charged_bytes": charged}
    return found


def contracts(figures: Figures) -> Found:
    """For each contract: credited = in the database + handed out + expired, purchases included."""
    found = Found("contracts", "C3, D9, I1")
    if figures.report is None:
        found.status = SKIPPED
        found.faults.append("the gateway goes on: its contracts are not told")
        return found
    bought: dict[str, int] = {}
    for answer in figures.answers:
        if answer.asked.verb == CHARGE and answer.refusal is None:
            code = str(answer.asked.args["contract"])
            bought[code] = bought.get(code, 0) + int(answer.asked.args["coupons"]) * COUPON_BYTES
    for now in figures.report["contracts"]:
        held = now["in_database_bytes"] + now["granted_bytes"] + now["expired_bytes"]
        if now["credited_bytes"] != held:
            found.fault(
                f"{now['code']}: {now['credited_bytes']} bytes credited, {held} accounted for"
            )
        initial = figures.initial.get(now["code"])
        due = None if initial is None else initial + bought.get(now["code"], 0)
        if due is not None and now["credited_bytes"] != due:
            found.fault(
                f"{now['code']}: {now['credited_bytes']} bytes credited, {due} were bought or held"
            )
    found.figures = {
        "contracts": len(figures.report["contracts"]),
        "bought_bytes": sum(bought.values()),
    }
    return found


def ledger(figures: Figures) -> Found:
    """When the gateway has stopped, the audit of its database finds nothing, and nothing is uncertain."""
    found = Found("audit", "D9, G4, G6")
    if figures.audit is None:
        found.status = SKIPPED
        found.faults.append(
            "the gateway goes on, or its database is another's: nothing was audited"
        )
        return found
    for finding in figures.audit["findings"]:
        found.fault(str(finding))
    sums = figures.audit["sums"] or {}
    uncertain = sums.get("sims", {}).get("uncertain_bytes", 0)
    if uncertain or not figures.audit["adds_up"]:
        found.fault(f"adds up: {figures.audit['adds_up']}, {uncertain} bytes are uncertain")
    found.figures = {"coupons": sums.get("coupons"), "sims": sums.get("sims")}
    return found

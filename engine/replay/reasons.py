"""Why a packet got what it got: the rules in the order in which they were applied, with their figures.

The verdict and all figures are the engine's own; here they are put into words.
"""

import ipaddress
import re
from typing import Any

from engine import verdict
from engine.layout import (
    DOWNLINK,
    PACKET_FRAGMENT,
    PACKET_GTP,
    PACKET_PORTS,
    PACKET_ROUTED,
    WORK_CODE_SHIFT,
    WORK_EXEMPT,
    WORK_GROUP_SHIFT,
    WORK_GROUPS_MAX,
)
from engine.runtime.views import WAYS, Leg, SteppingEngine
from engine.units import CREDIT_PER_BYTE
from engine.wire.addresses import format_address

Step = dict[str, str]
PROTOCOL_NAMES = {1: "ICMP", 6: "TCP", 17: "UDP", 50: "ESP", 58: "ICMPv6", 132: "SCTP"} | {
    136: "UDP-Lite"
}
LIMITED = {"high": "high speed", "slow": "the slow state", "restricted": "the restricted rate"}

_RULE = re.compile(r"\b([A-Z]\d{1,2})\b")
_RULES = {
    verdict.DROP_PEER: "N7",
    verdict.DROP_DETACHED: "N6",
    verdict.DROP_INFRA: "N7",
    verdict.DROP_POLICED: "P5",
    verdict.DROP_PENDING: "D1",
}
"""the rule of a reason whose words name none"""


def rule_of(code: int) -> str:
    """The rule behind a drop; N7 where only the headers are wrong: nothing dropped is charged."""
    found = _RULE.search(verdict.WORDS[code]) if code not in _RULES else None
    return found[1] if found else _RULES.get(code, "N7")


def step(rule: str, text: str) -> Step:
    return {"rule": rule, "text": text}


def dropped(code: int) -> Step:
    """The step of a drop that the code alone explains."""
    return step(rule_of(code), f"dropped: {verdict.WORDS[code]}")


def code_of(leg: Leg) -> int:
    """What became of the leg: a verdict code."""
    return int(leg.told["flags"]) >> WORK_CODE_SHIFT or verdict.CHARGED


def steps_of(engine: SteppingEngine, packet: Any, leg: Leg) -> list[Step]:
    """All steps of one leg of a packet, a PACKET row."""
    code = code_of(leg)
    steps = [_found(engine, packet, leg)]
    decided = int(leg.asked["flags"]) >> WORK_CODE_SHIFT
    if decided or code in (verdict.DROP_SUSPENDED, verdict.DROP_DETACHED, verdict.DROP_PENDING):
        return [*steps, dropped(code)]
    steps += _session(leg)
    cap = _capped(engine, leg)
    if int(leg.asked["flags"]) & WORK_EXEMPT and not cap:
        return [*steps, *_exempt(engine, packet, leg)]
    steps += cap or _near_miss(engine, packet, leg)
    return [*steps, *_metered(leg)]


# --- whose packet it is ---------------------------------------------------------------------------


def _found(engine: SteppingEngine, packet: Any, leg: Leg) -> Step:
    way = "downlink" if leg.direction == DOWNLINK else "uplink"
    teid = int(packet["teid"])
    given = {t.teid for t in leg.line.bound.tunnels if t.direction == leg.direction}
    if int(packet["flags"]) & PACKET_GTP and teid in given:
        return step("N6", f"{way} of {leg.line.code}, whose session has TEID {teid:#010x}")
    end = "destination" if leg.direction == DOWNLINK else "source"
    return step("N6", f"{way} of {leg.line.code}, which has its {end} address")


def _session(leg: Leg) -> list[Step]:
    """The session that opens, and slices that were asked for (D1, D5, D7)."""
    before, after = leg.before, leg.after
    steps = []
    if before["session"] != "open":
        steps.append(step("D1", "its session opens with this packet"))
    handed_out = after["granted_bytes"] - before["granted_bytes"]
    grants = after["grants"] - before["grants"]
    size = int(leg.asked["length"])
    if grants:
        slices = "a slice" if grants == 1 else f"{grants} slices"
        if before["balance_bytes"]:
            text = f"{size} bytes need more than the {before['balance_bytes']} on the SIM: the database"
            steps.append(step("D7", f"{text} hands out {slices} of {handed_out} bytes"))
        else:
            text = f"the SIM holds nothing: the database hands out {slices} of {handed_out} bytes"
            steps.append(step("D1", text))
    if after["requests"] - before["requests"] > grants:
        steps.append(step("D5", "the database was asked for a slice and has nothing to hand out"))
    return steps


# --- exempt ---------------------------------------------------------------------------------------


def _group(leg: Leg) -> int:
    return int(leg.asked["flags"]) >> WORK_GROUP_SHIFT & (WORK_GROUPS_MAX - 1)


def _used_today(engine: SteppingEngine, leg: Leg) -> tuple[int, int]:
    """(bytes of its rating group that the SIM had today before this packet, cap)."""
    number = engine.groups.ids[_group(leg)]
    rated = [g for g in leg.before["rating_groups"] if g["rating_group"] == number]
    return (rated[0]["today_bytes"] if rated else 0), engine.groups.caps_bytes[_group(leg)]


def _capped(engine: SteppingEngine, leg: Leg) -> list[Step]:
    """The step where an exempt endpoint's rating group has no room left for the packet today."""
    used, cap = _used_today(engine, leg)
    size = int(leg.asked["length"])
    if not int(leg.asked["flags"]) & WORK_EXEMPT or not cap or used + size <= cap:
        return []
    name = engine.groups.names[_group(leg)]
    text = f"its endpoint is exempt, but {used} + {size} bytes are above the {cap} of {name} a day"
    return [step("X3", f"{text}: a packet like any other")]


def _network_side(packet: Any, leg: Leg) -> tuple[str, int]:
    """(address, port) of the packet's end that is not the SIM's (X2)."""
    end = "src" if leg.direction == DOWNLINK else "dst"
    address = format_address(int(packet[f"{end}_hi"]), int(packet[f"{end}_lo"]))
    return address, int(packet[f"{end}_port"])


def _endpoints(engine: SteppingEngine, address: str) -> list[Any]:
    """The exempt endpoints that have this address, whatever their ports."""
    host = ipaddress.ip_address(address)
    return [
        endpoint
        for endpoint in engine.exempt_list.endpoints
        if any(host in ipaddress.ip_network(prefix) for prefix in endpoint.prefixes)
    ]


def _matches(endpoint: Any, protocol: str, port: int | None) -> bool:
    """Whether an endpoint's protocol and ports are the packet's; it shows no ports where `port` is None."""
    if endpoint.protocol != "any" and endpoint.protocol.upper() != protocol:
        return False
    if not endpoint.ports:
        return True
    return protocol in ("TCP", "UDP") and port in endpoint.ports


def _seen_port(packet: Any, port: int) -> int | None:
    return port if int(packet["flags"]) & PACKET_PORTS else None


def _exempt(engine: SteppingEngine, packet: Any, leg: Leg) -> list[Step]:
    address, port = _network_side(packet, leg)
    code = code_of(leg)
    if int(packet["flags"]) & PACKET_FRAGMENT:
        steps = [step("X4", "a later fragment: it inherits from the first, which was exempt")]
    else:
        protocol, seen = _protocol(packet), _seen_port(packet, port)
        names = [e.name for e in _endpoints(engine, address) if _matches(e, protocol, seen)]
        what = f"{protocol} port {port}" if seen is not None else protocol
        steps = [step("X2", f"{address} {what} is of exempt endpoint {names[0]}")]
    number, name = engine.groups.ids[_group(leg)], engine.groups.names[_group(leg)]
    if code > verdict.FORWARD_MAX:
        return [*steps, step("X4", f"dropped: {_full(leg, leg.after['exempt'])}")]
    charged = int(leg.told["length"])
    paid = f"{charged} bytes charged (exempt.charge)" if charged else "nothing charged"
    steps.append(step("X1", "not held to the slow rate, whatever the coupon"))
    steps.append(step("X3", f"{paid}, counted in rating group {number} ({name})"))
    bucket = leg.after["exempt"][WAYS[leg.direction]]
    return [*steps, step("X4", _wait(leg, bucket, "the high-speed rate in a bucket of its own"))]


def _near_miss(engine: SteppingEngine, packet: Any, leg: Leg) -> list[Step]:
    """Why a packet from or to the address of an exempt endpoint is not exempt all the same."""
    address, port = _network_side(packet, leg)
    names = [endpoint.name for endpoint in _endpoints(engine, address)]
    if not names:
        return []
    text = f"{address} is of exempt endpoint {names[0]}, but"
    if int(packet["flags"]) & PACKET_ROUTED:
        why = "the packet has a source route to go on with"
        return [step("X2", f"{text} {why}: not exempt")]
    if int(packet["flags"]) & PACKET_FRAGMENT:
        why = "no exempt first fragment of this packet was seen in the 30 s before"
        return [step("X4", f"{text} {why}: not exempt")]
    if _seen_port(packet, port) is None:
        return [step("X2", f"{text} the packet shows no ports that count: not exempt")]
    return [step("X2", f"{text} not for {_protocol(packet)} port {port}: not exempt")]


def _protocol(packet: Any) -> str:
    number = int(packet["protocol"])
    return PROTOCOL_NAMES.get(number, f"protocol {number}")


# --- charged or slow ------------------------------------------------------------------------------


def _metered(leg: Leg) -> list[Step]:
    code, after = code_of(leg), leg.after
    bucket = after[WAYS[leg.direction]]
    steps = [*_state(leg), *_change(leg)]
    if code == verdict.DROP_POLICED:
        return [*steps, step(rule_of(code), f"dropped: {_marked(leg, 'tokens')}")]
    if code == verdict.DROP_QUEUE:
        return [*steps, step("P4", f"dropped: {_full(leg, after)}")]
    rule = "S4" if after["speed"] == "high" else "P4"
    steps.append(step(rule, _wait(leg, bucket, LIMITED[after["speed"]])))
    free = int(leg.asked["length"]) - int(leg.told["length"])
    if code == verdict.CHARGED and free:
        text = f"the SIM's last {int(leg.told['length'])} bytes are charged, {free} are free: the"
        steps.append(step("D7", f"{text} database has no next slice"))
    return steps


def _state(leg: Leg) -> list[Step]:
    """Which speed holds, and why (P1, P2, D5, R1, R4, R5)."""
    after, window = leg.after, leg.after["restriction"]
    rate = after[WAYS[leg.direction]]["rate_bps"]
    counted = f"{window['window_bytes']} bytes that count in 3 days ({window['effective']})"
    if after["speed"] == "high":
        had = leg.before["balance_bytes"] + after["granted_bytes"] - leg.before["granted_bytes"]
        text = f"coupon on and {had} bytes on the SIM: high speed, {rate} bit/s, charged"
        over = f"{counted}, above {window['limit_bytes']}: bites in the slow state only"
        return [step("P1", text)] + [step("R5", over)] * window["in_force"]
    why = "the coupon is off"
    if after["coupon"]:
        why = "the coupon is on, but neither the SIM nor the database holds anything"
    steps = [step("P2", f"{why}: nothing is charged")]
    if after["speed"] == "restricted":
        # The packet itself counts already: it was judged by what was there before it.
        before = leg.before["restriction"]["window_bytes"]
        text = f"{before} bytes that count in 3 days ({window['effective']}), above"
        return [*steps, step("R1", f"{text} {window['limit_bytes']}: {rate} bit/s (R4)")]
    return [*steps, step("P2", f"the slow state, {rate} bit/s")]


def _change(leg: Leg) -> list[Step]:
    before, after = leg.before["speed"], leg.after["speed"]
    held = leg.before[WAYS[leg.direction]]["queue_ns"]
    fresh = leg.before["session"] != "open" and not held
    if before == after or fresh:
        return []
    text = f"from {LIMITED[before]} to {LIMITED[after]}, at once"
    kept = f"; what is queued keeps its departures, the last in {held} ns" if held else ""
    return [step("P3", text + kept)]


def _wait(leg: Leg, bucket: dict[str, Any], limit: str) -> str:
    """The arithmetic of a departure: the credit that the packet leaves behind, over the rate."""
    wait_ns = int(leg.told["time_ns"]) - int(leg.asked["time_ns"])
    if "tokens" in leg.after:
        return f"{limit}: tokens enough, out at once (limiter = police)"
    credit, rate = bucket["credit_bit_ns"], bucket["rate_bps"]
    if wait_ns == 0:
        return f"{limit}: a credit of {credit} bit-ns is left, out at once"
    return f"{limit}: {-credit} bit-ns below 0 at {rate} bit/s: ceil({-credit} / {rate}) = {wait_ns} ns"


def _marked(leg: Leg, kind: str) -> str:
    """The colour of a packet that a policer dropped: yellow ones take tokens, red ones do not."""
    way = WAYS[leg.direction]
    found, left = leg.before[kind][way], leg.after[kind][way]
    if leg.before["speed"] != leg.after["speed"]:  # its tokens before were those of another rate
        return verdict.WORDS[verdict.DROP_POLICED]
    colour = "red" if found == left else "yellow, which is not let through"
    tokens = f"{found['committed_bytes']} + {found['other_bytes']}"
    return f"marked {colour}: {int(leg.asked['length'])} bytes, and tokens for {tokens}"


def _full(leg: Leg, state: dict[str, Any]) -> str:
    """The arithmetic of a full queue (P4); `state` has the buckets, without the packet."""
    bucket = state[WAYS[leg.direction]]
    if "tokens" in leg.after:
        return _marked(leg, "exempt_tokens")
    credit, size = bucket["credit_bit_ns"], int(leg.asked["length"])
    # What waits since before a change of speed has its place already (P3).
    held, most = bucket.get("held_bit_ns", 0), bucket["queue_max_bit_ns"]
    below = size * CREDIT_PER_BYTE - credit
    kept = f", of which {held} since before the speed changed," if held else ""
    if below - held <= most:
        return f"it would wait until {below} bit-ns{kept} have passed, longer than any packet may"
    return f"with its {size} bytes {below} bit-ns{kept} would wait, and {most} fit in the queue"

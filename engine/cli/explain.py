"""`pktoll explain`: why one packet was charged, exempt, slow, delayed or dropped."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from engine.calendar import jst_text
from engine.cli.captures import announce, check_prefixes, tell, who_is_who
from engine.units import NS_PER_MS

Document = dict[str, Any]

COUNTS = {"inner-ip": "IP", "outer-ip": "outer IP", "frame": "frame", "l4-payload": "payload"}
VERDICTS = {
    "charged": "CHARGED",
    "slow": "SLOW",
    "exempt": "EXEMPT",
    "dropped": "DROPPED",
    "no-user-traffic": "NO USER TRAFFIC",
}


@click.command(
    epilog="""
    \b
    Examples:
      pktoll explain capture.pcap --packet 4711 --ue-net 10.45.0.0/16
      pktoll explain s5u.pcapng --packet 17 --subscribers lines.toml --events morning.jsonl
      pktoll explain today.pcap yesterday.pcap --packet 9 --pool sqlite:///coupons.db --format json
    """
)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option(
    "--packet",
    "number",
    type=int,
    required=True,
    metavar="N",
    help="Number of the frame in the first CAPTURE, from 1, as frame.number of tshark.",
)
@who_is_who
@click.option(
    "--pool",
    metavar="URL",
    help="Coupon database to begin with, as it is now: sqlite:///file.db; default: in memory. "
    "It is copied, and left as it is.",
)
@click.option(
    "--gateway",
    metavar="NAME",
    default="replay",
    show_default=True,
    help="Name by which the coupon database knows the replay.",
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("-q", "--quiet", is_flag=True, help="No remarks.")
def command(captures: tuple[str, ...], number: int, form: str, quiet: bool, **options: Any) -> int:
    """Say why a packet was charged, exempt, slow, delayed or dropped.

    Everything up to the packet is replayed, so the figures are those of a replay. Other captures beside the
    first are replayed in time order, as by `pktoll replay`.
    """
    # Imported here: the engine brings numba, which `--help` need not wait for.
    from engine.replay.explain import explain
    from engine.replay.options import Options

    check_prefixes(options["ue_nets"])
    announce(quiet, options["subscribers"])
    found = explain(Options(captures=captures, **options), number)
    if form == "json":
        sys.stdout.write(json.dumps(found.document, indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines(found.document)))
    tell(found.notices, [], quiet)
    return 0


def lines(document: Document) -> Iterator[str]:
    """The document as a few lines for people."""
    capture, packet = document["capture"], document["packet"]
    yield f"packet {capture['packet']} of {capture['file']}: {_packet(packet)}"
    if packet is not None:
        yield f"  {jst_text(packet['time_ns'])} JST ({packet['time_ns']} ns)"
    if not document["legs"]:
        yield _verdict(document)
        yield from _steps(document["steps"])
    for leg in document["legs"]:
        yield from _leg(leg)


def _packet(packet: Document | None) -> str:
    """What it is: protocol, ends, length, and the tunnel around it."""
    if packet is None or "protocol" not in packet:
        return "not a packet of a SIM" if packet is None else f"{packet['wire_bytes']} bytes"
    from engine.replay.reasons import PROTOCOL_NAMES

    number = packet["protocol"]
    name = PROTOCOL_NAMES.get(number, f"protocol {number}")
    source, destination = (_end(packet, end) for end in ("source", "destination"))
    words = f"{name} {source} > {destination}, {packet['length_bytes']} bytes of"
    words += f" {COUNTS[packet['count']]}"
    if packet["fragment"] != "no":
        words += f", a {packet['fragment']} fragment"
    if packet["cut"]:
        words += ", cut in the capture"
    if packet["teid"] is not None:
        words += f", TEID {packet['teid']:#010x} at {packet['receiver']}"
    return words


def _end(packet: Document, end: str) -> str:
    port = packet[f"{end}_port"]
    address = packet[end]
    if not port:
        return str(address)
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _leg(leg: Document) -> Iterator[str]:
    names = [leg["msisdn"], leg["imsi"], leg["iccid"]]
    name = next((f" ({name})" for name in names if name), "")
    contract = f", contract {leg['contract']}" if leg["contract"] != leg["line"] else ""
    yield f"  {leg['direction']} of {leg['line']}{name}{contract}, plan {leg['plan']}"
    yield from _state("before", leg)
    yield _verdict(leg)
    yield from _steps(leg["steps"])
    yield from _state("after", leg)


def _verdict(part: Document) -> str:
    words = VERDICTS[part["verdict"]]
    if part["reason"] is not None:
        return f"{words} ({part['reason']}), not charged"
    if part.get("departure_ns") is None:
        return words
    words += f": {part['charged_bytes']} bytes charged"
    if part["free_bytes"]:
        words += f", {part['free_bytes']} free"
    if part["wait_ns"]:
        ms, rest_ns = divmod(part["wait_ns"], NS_PER_MS)
        return f"{words}; out {ms}.{rest_ns:06} ms later, at {jst_text(part['departure_ns'])}"
    return f"{words}; out at once"


def _steps(steps: list[dict[str, str]]) -> Iterator[str]:
    for step in steps:
        yield f"  {step['rule']:>4}  {step['text']}"


def _state(when: str, leg: Document) -> Iterator[str]:
    """A SIM's state before or after: the coupon, then the speed of this direction, then what counts up."""
    state = leg[when]
    parts = [_coupon(state), _speed(state, "up" if leg["direction"] == "uplink" else "down")]
    counted = _counted(state)
    if counted:
        parts.append(counted)
    for number, words in enumerate(parts):
        yield f"  {when if number == 0 else '':<6}  {'; '.join(words)}"


def _coupon(state: Document) -> list[str]:
    return [
        "in service" if state["in_service"] else "suspended",
        f"session {state['session']}",
        f"coupon {'on' if state['coupon'] else 'off'}",
        f"{state['balance_bytes']} bytes on the SIM"
        + (", database empty" if state["database_empty"] else ""),
        f"{state['grants']} slice{'s' * (state['grants'] != 1)} so far",
    ]


def _speed(state: Document, way: str) -> list[str]:
    bucket = state[way]
    words = [f"{state['speed']}, {bucket['rate_bps']} bit/s"]
    if "tokens" in state:
        tokens = state["tokens"][way]
        words.append(f"tokens {tokens['committed_bytes']} + {tokens['other_bytes']} bytes")
    elif bucket["queue_ns"]:
        words.append(f"queue {bucket['queue_bytes']} bytes, {bucket['queue_ns']} ns")
    else:
        words.append("queue empty")
    return words


def _counted(state: Document) -> list[str]:
    """The 3-day window, and what the rating groups let pass today."""
    words = []
    window = state["restriction"]
    if window["limit_bytes"]:
        words.append(f"3 days {window['window_bytes']} of {window['limit_bytes']} bytes")
    for group in state["rating_groups"]:
        cap = f" of {group['cap_bytes_per_day']}" if group["cap_bytes_per_day"] else ""
        words.append(f"{group['name']} today {group['today_bytes']}{cap} bytes")
    return words

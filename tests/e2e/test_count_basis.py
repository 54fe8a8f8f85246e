"""Real captures replayed with both settings of `count`, against what scapy and tshark make of them."""

import csv
import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import scapy.layers.l2  # noqa: F401 - so that scapy knows Ethernet, VLAN tags and Linux SLL
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment
from scapy.utils import PcapReader

from engine.wire import MODE_GTP
from engine.wire.addresses import format_address
from engine.wire.basis import INNER_IP, OUTER_IP
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from tests.support.command import call

FRAMES_MAX = 500
"""longer captures would take scapy too long"""
ANYBODY = ("--ue-net", "0.0.0.0/0", "--ue-net", "::/0")
GTP_U_PORT, G_PDU = 2152, 255

REPLAYED = (
    "arkime__gtp-u.pcap",  # IPv4 in IPv4
    "nDPI__rtmp.pcap",  # sequence numbers
    "trex-core__exp__tcp2_http_simple_gtpu_ipv6_c.pcap",  # outer IPv6
    "trex-core__exp__tcp2_http_vlan_gtpu_c.pcap",  # a tag
    "nDPI__ipv6_in_gtp.pcap",  # inner IPv6
    "zeek__tunnels__gtp__gtp1_gn_normal_incl_fragmentation.pcap",  # outer fragments
)


def outer_packet(frame: Any) -> Any:
    """The outermost IP header of a frame, or None."""
    layer = frame
    while layer and not isinstance(layer, IP | IPv6):
        layer = layer.payload
    return layer or None


def g_pdu_bytes(outer: Any) -> tuple[int, int] | None:
    """(TEID, length of the outer packet) of a G-PDU by scapy, None of anything else.

    A first fragment has the length that the datagram had in one piece, and IPv6 its fragment header.
    """
    udp = outer.getlayer(UDP) if outer is not None else None
    if udp is None or GTP_U_PORT not in (udp.sport, udp.dport):
        return None
    message = udp.payload.original
    if len(message) < 8 or message[1] != G_PDU:
        return None
    teid = struct.unpack_from("!I", message, 4)[0]
    if isinstance(outer, IP):
        return teid, 4 * outer.ihl + udp.len if "MF" in outer.flags else outer.len
    assert IPv6ExtHdrFragment not in outer
    return teid, 40 + outer.plen


def by_scapy(path: Path) -> Counter[tuple[int, str]]:
    """Outer bytes of every tunnel: (TEID, receiver)."""
    found: Counter[tuple[int, str]] = Counter()
    with PcapReader(str(path)) as frames:
        for frame in frames:
            outer = outer_packet(frame)
            counted = g_pdu_bytes(outer)
            if counted is not None:
                found[counted[0], str(outer.dst)] += counted[1]
    return found


def by_us(path: Path, *, basis: int) -> Counter[tuple[int, str]]:
    """The same by the parser, of the inner packets or of the outer ones."""
    found: Counter[tuple[int, str]] = Counter()
    endpoints = Endpoints()
    for batch in Capture(str(path), endpoints, MODE_GTP, basis=basis):
        addresses = [format_address(*halves) for halves in endpoints.addresses()]
        for row in batch:
            found[int(row["teid"]), addresses[int(row["endpoint"])]] += int(row["length"])
    return found


def inner_bytes_by_tshark(path: Path) -> int:
    """The sum of the inner packets' lengths, from the file of truth beside a capture."""
    with Path(f"{path}.truth.tsv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["scope"] == "total"]
    return int(rows[0]["sum_inner_ip_total_length"])


def captures(shared: Path) -> list[Path]:
    """The captures with G-PDUs that are not too long."""
    folder = shared / "captures"
    with (folder / "INDEX.tsv").open(newline="") as lines:
        return [
            folder / row["file"]
            for row in csv.DictReader(lines, delimiter="\t")
            if row["category"] == "gtp"
            and int(row["gpdu_frames"] or 0)
            and int(row["packets_tshark"]) <= FRAMES_MAX
        ]


def test_the_outer_lengths_of_real_captures_are_those_that_scapy_sees(shared: Path) -> None:
    """U3: in every tunnel, to the byte"""
    checked = 0
    for path in captures(shared):
        expected = by_scapy(path)
        assert by_us(path, basis=OUTER_IP) == expected, path.name
        assert by_us(path, basis=INNER_IP) != expected, path.name
        checked += 1
    assert checked >= 20


@pytest.mark.parametrize("name", REPLAYED)
def test_two_bills_differ_by_the_overhead_of_the_tunnel(
    shared: Path, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """U3: whatever is counted, it is charged; the difference is scapy's outer less tshark's inner"""
    path = shared / "captures" / "gtp" / name
    own = tmp_path / "own.toml"
    own.write_text('count = "outer-ip"\n')
    bills = []
    for options in ((), ("--config", str(own))):
        ended = call(capfd, "replay", str(path), *ANYBODY, *options, "--format", "json", "-q")
        assert (ended.status, ended.err) == (0, "")
        bills.append(json.loads(ended.out))
    inner, outer = (bill["totals"] for bill in bills)
    assert inner["inner_bytes"] == inner_bytes_by_tshark(path)
    assert outer["inner_bytes"] == sum(by_scapy(path).values())
    for bill, totals in zip(bills, (inner, outer), strict=True):
        assert sum(tunnel["inner_bytes"] for tunnel in bill["tunnels"]) == totals["inner_bytes"]
    charged = outer["charged_bytes"] - inner["charged_bytes"]
    dropped = outer["dropped_bytes"] - inner["dropped_bytes"]
    assert charged + dropped == outer["inner_bytes"] - inner["inner_bytes"] > 0
    assert charged > 0
    assert inner["packets"] == outer["packets"]
    assert bills[0]["capture"] == bills[1]["capture"]

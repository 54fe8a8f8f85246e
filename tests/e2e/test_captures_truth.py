"""Every shared capture against its truth: what the parser sees must be what tshark saw.

The truth is in files beside the captures (see their NOTES.md). Where the two differ, the capture is
listed below with the reason and with what is read instead; any other file must agree to the byte.
"""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import verdict
from engine.layout import PACKET_GTP
from engine.wire import MODE_GTP, MODE_IP
from engine.wire.addresses import format_address
from engine.wire.capture import Capture
from engine.wire.endpoints import Endpoints
from engine.wire.sniff import sniff

Table = dict[tuple[str, str, str], tuple[int, int]]
"""(scope, TEID or source, destination) -> (packets, bytes)"""

TOTAL = ("total", "*", "*")

DECIDED = {
    # file: (why, packets, bytes)
    "hostile/PcapPlusPlus__cfm-FuzzTarget-5114733584449536.pcap": (
        "a datagram of 10 bytes at the GTP-U port with message type 255: no TEID, so no session",
        1,
        0,
    ),
    "hostile/nDPI__fuzz-2021-06-07-c6c72a0a56.pcap": (
        "a datagram at the GTP-U port with message type 255 that ends before the TEID",
        1,
        0,
    ),
    "hostile/PcapPlusPlus__cfm-FuzzTarget-5755755617189888.pcap": (
        "total length 0 and an on-the-wire length of 2^31: the captured length is believed (B56)",
        1,
        65_575,
    ),
    "hostile/PcapPlusPlus__crash-exception-cast-constructed-record.pcap": (
        "tshark lists no address before it gives up; the first record is a whole IPv4 packet",
        1,
        245,
    ),
    "hostile/PcapPlusPlus__igmplayer.pcap": (
        "tshark lists nothing before it gives up; two whole packets stand before the damage",
        2,
        108,
    ),
    "hostile/tcpdump__ipv4_invalid_total_length_2.pcap": (
        "total length 19: a packet with addresses, dropped by its length (B27)",
        1,
        19,
    ),
    "hostile/zeek__trunc__ipv4-internally-truncated-header.pcap": (
        "cut by the capture inside the IP options: the 20 bytes that count are there (B63)",
        1,
        114,
    ),
    "ip/zeek__trunc__mpls-6in6-broken.pcap.gz": (
        "broken IPv4 headers of 20 bytes and more: kept if IHL is 5 or more, whatever follows",
        1789,
        149_373,
    ),
    "pcap/tcpdump__icmp-icmp_print-oobr-2.pcap": (
        "Frame Relay (107) is not looked into; its frames are counted as unsupported",
        0,
        0,
    ),
    "pcapng/PcapPlusPlus__ipv4-malformed.pcap": (
        "total length 11: a packet with addresses, dropped by its length (B27)",
        1,
        11,
    ),
}

REFUSED_BY_TSHARK = {281, 182, 0x2020}
"""link types of files that tshark does not open; here their frames are counted, not looked into"""


@dataclass(frozen=True)
class Entry:
    """One line of INDEX.tsv."""

    name: str
    path: Path
    frames: int
    g_pdus: int
    flags: str
    crosscheck: str


def index(shared: Path) -> Iterator[Entry]:
    """All captures; without the JIT only the smaller ones, as plain Python is slow."""
    folder = shared / "captures"
    longest = 500 if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0") else 1 << 30
    with (folder / "INDEX.tsv").open(newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            frames = int(row["packets_tshark"] or 0)
            if frames <= longest:
                path = folder / row["file"]
                g_pdus = int(row["gpdu_frames"] or 0)
                yield Entry(row["file"], path, frames, g_pdus, row["flags"], row["crosscheck"])


def truth(entry: Entry) -> Table:
    """What the truth file says, in the scopes that can be compared."""
    table: Table = {}
    with Path(f"{entry.path}.truth.tsv").open(newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            if entry.g_pdus:
                key = (row["scope"], row["teid"], row["outer_dst"])
                count = (int(row["gpdu_packets"]), int(row["sum_inner_ip_total_length"]))
                kept = row["scope"] in ("tunnel", "total")
            else:
                key = (row["scope"], row["src"], row["dst"])
                count = (int(row["packets"]), int(row["sum_ip_total_length"]))
                kept = row["scope"] != "pair"
            if kept and count[0]:
                table[key] = count
    return table


def measured(entry: Entry) -> tuple[Table, Capture]:
    """The same table, by the parser."""
    endpoints = Endpoints()
    mode = MODE_GTP if entry.g_pdus else MODE_IP
    capture = Capture(str(entry.path), endpoints, mode)
    packets: Counter[tuple[str, str, str]] = Counter()
    total: Counter[tuple[str, str, str]] = Counter()
    for batch in capture:
        for row in batch:
            keys = [TOTAL]
            if mode == MODE_GTP:
                address = format_address(*endpoints.addresses()[int(row["endpoint"])])
                keys.append(("tunnel", f"0x{int(row['teid']):08x}", address))
            else:
                keys.append(("src", format_address(row["src_hi"], row["src_lo"]), "*"))
                keys.append(("dst", "*", format_address(row["dst_hi"], row["dst_lo"])))
            for key in keys:
                packets[key] += 1
                total[key] += int(row["length"])
    return {key: (packets[key], total[key]) for key in packets}, capture


def faults(entry: Entry, expected: Table, got: Table, capture: Capture) -> list[str]:
    """What is wrong with the result of one capture, in words."""
    found = []
    if ("trunc" in entry.flags) != (capture.fault is not None):
        found.append(f"{entry.name}: flags {entry.flags}, but the fault is {capture.fault}")
    if entry.name in DECIDED:
        why, *count = DECIDED[entry.name]
        if got.get(TOTAL, (0, 0)) != tuple(count):
            found.append(f"{entry.name}: {why}: not {got.get(TOTAL)}")
    elif got != expected:
        keys = [key for key in expected | got if expected.get(key) != got.get(key)]
        shown = [f"{key}: {got.get(key)} for {expected.get(key)}" for key in keys[:3]]
        found.append(f"{entry.name}: {'; '.join(shown)}")
    if "frames=same" in entry.crosscheck and capture.frames != entry.frames:
        found.append(f"{entry.name}: {capture.frames} frames for {entry.frames}")
    return found


def test_every_capture_agrees_with_its_truth(shared: Path) -> None:
    """N6, U3; hostile files: no exception, the right fault, bounded time"""
    found: list[str] = []
    checked = 0
    for entry in index(shared):
        expected = truth(entry)
        got, capture = measured(entry)
        found += faults(entry, expected, got, capture)
        checked += 1
    assert found == []
    assert checked > 300


def test_a_planted_error_is_found(shared: Path) -> None:
    """A byte more in one tunnel, a fault where there is none, a frame too many: all are reported"""
    entry = next(e for e in index(shared) if e.name.startswith("gtp/") and e.g_pdus)
    expected = truth(entry)
    got, capture = measured(entry)
    assert faults(entry, expected, got, capture) == []
    key = next(key for key in got if key[0] == "tunnel")
    wrong = got | {key: (got[key][0], got[key][1] + 1)}
    assert len(faults(entry, expected, wrong, capture)) == 1
    cut = Entry(entry.name, entry.path, entry.frames + 1, entry.g_pdus, "trunc", entry.crosscheck)
    assert len(faults(cut, expected, got, capture)) == 2


def test_the_mode_is_sniffed_from_the_content(shared: Path) -> None:
    """A G-PDU without a TEID makes no tunnel capture (the two files in DECIDED)"""
    for entry in index(shared):
        tunnels = entry.g_pdus and entry.name not in DECIDED
        assert sniff(str(entry.path)) == (MODE_GTP if tunnels else MODE_IP), entry.name


def test_every_packet_of_a_tunnel_capture_is_flagged_or_dropped(shared: Path) -> None:
    """Flags say what is valid: without PACKET_GTP there is no TEID to go by"""
    seen = 0
    for entry in index(shared):
        if entry.g_pdus:
            for batch in Capture(str(entry.path), Endpoints(), MODE_GTP):
                flagged = batch["flags"] & PACKET_GTP != 0
                assert (flagged | (batch["code"] != verdict.NONE)).all(), entry.name
                seen += len(batch)
    assert seen > 500


def test_files_that_tshark_refuses_are_counted(shared: Path) -> None:
    refused = [e for e in index(shared) if "/0)" in e.crosscheck]
    assert len(refused) >= 4
    for entry in refused:
        _, capture = measured(entry)
        assert set(capture.unsupported) <= REFUSED_BY_TSHARK
        assert sum(capture.unsupported.values()) == capture.frames

"""Frames and captures by hand, for the golden cases: plain `struct`, fixed bytes, right checksums."""

import ipaddress
import struct
from collections.abc import Sequence

IPV4, IPV6 = 0x0800, 0x86DD
GATEWAY, SGW = "203.0.113.1", "203.0.113.2"
GTP_PORT = 2152
UDP = 17


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip_udp(source: str, destination: str, ports: tuple[int, int], size_bytes: int) -> bytes:
    """A whole IP packet of `size_bytes` with UDP and zeros inside, IPv4 or IPv6 as the addresses."""
    header_bytes = 40 if ":" in source else 20
    payload = bytes(size_bytes - header_bytes - 8)
    return ip_datagram(source, destination, ports, payload)


def ip_datagram(source: str, destination: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """IP and UDP headers before a payload."""
    src = ipaddress.ip_address(source).packed
    dst = ipaddress.ip_address(destination).packed
    length = len(payload) + 8
    pseudo = src + dst + struct.pack(">IxxxB", length, UDP)
    unsummed = struct.pack(">HHHH", *ports, length, 0)
    udp = struct.pack(">HHHH", *ports, length, _checksum(pseudo + unsummed + payload) or 0xFFFF)
    if len(src) == 16:
        header = struct.pack(">IHBB", 6 << 28, length, UDP, 64) + src + dst
        return header + udp + payload
    fields = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, UDP, 0) + src + dst
    header = fields[:10] + struct.pack(">H", _checksum(fields)) + fields[12:]
    return header + udp + payload


def ip_fragment(
    source: str, destination: str, ports: tuple[int, int] | None, label: int, size_bytes: int
) -> bytes:
    """An IPv4 fragment of a UDP datagram of 2 000 bytes: the first with ports, else the last of two."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    payload = bytes(size_bytes - 20)
    place = 1_480 // 8
    if ports is not None:
        payload = struct.pack(">HHHH", *ports, 2_000, 0) + payload[8:]
        place = 0x2000  # RFC 791 3.1: more fragments
    fields = struct.pack(">BBHHHBBH", 0x45, 0, size_bytes, label, place, 64, UDP, 0) + ends
    return fields[:10] + struct.pack(">H", _checksum(fields)) + fields[12:] + payload


def gpdu(teid: int, inner: bytes, *, up: bool, container: bool = False) -> bytes:
    """A G-PDU between S-GW and gateway (TS 29.281 5.1); `container`: with an extension header."""
    extension = b""
    if container:  # TS 38.415 5.5.2: one unit of 4 bytes, then no further extension
        extension = struct.pack(">HBBBBBB", 0, 0, 0x85, 1, 0, 9, 0)
    flags = 0x34 if container else 0x30
    header = struct.pack(">BBHI", flags, 255, len(extension) + len(inner), teid)
    ends = (SGW, GATEWAY) if up else (GATEWAY, SGW)
    return ip_datagram(*ends, (GTP_PORT, GTP_PORT), header + extension + inner)


def ethernet(packet: bytes, tags: Sequence[tuple[int, int]] = ()) -> bytes:
    """An Ethernet frame; `tags` are (ethertype, VLAN id), outermost first (IEEE 802.1Q 9)."""
    stack = b"".join(struct.pack(">HH", ethertype, vlan) for ethertype, vlan in tags)
    kind = IPV6 if packet[0] >> 4 == 6 else IPV4
    macs = bytes.fromhex("02000000000102000000000a")
    return macs + stack + struct.pack(">H", kind) + packet


def pcap(frames: Sequence[tuple[int, bytes]], snaplen_bytes: int) -> bytes:
    """A capture of (ns, frame) with ns stamps; frames are cut at `snaplen_bytes`."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen_bytes, 1)]
    for at_ns, frame in frames:
        kept = frame[:snaplen_bytes]
        out.append(struct.pack("<IIII", *divmod(at_ns, 10**9), len(kept), len(frame)) + kept)
    return b"".join(out)

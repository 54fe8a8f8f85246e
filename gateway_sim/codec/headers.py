"""The only door to scapy: header templates of a G-PDU on Ethernet.

scapy is GPL-2.0-only and slow to load: it is imported when the first template is made, and packets
are stamped from the templates without it.
"""

from functools import lru_cache

from gateway_sim.scenario import TCP

OUTER_BYTES = 14 + 20 + 8 + 8
"""Ethernet, IPv4, UDP and the mandatory part of GTP-U (3GPP TS 29.281 5.1)"""
GTP_U_PORT = 2152
GTP_C_PORT = 2123
TTL = 64
WINDOW = 65_535


@lru_cache(maxsize=1)
def control_template() -> bytes:
    """Ethernet, IPv4 and UDP of a GTP-C message between two nodes, with zeros where they differ.

    UDP is without a checksum, as RFC 768 allows.
    """
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether

    return bytes(
        Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01", type=0x0800)
        / IP(src="0.0.0.0", dst="0.0.0.0", ttl=TTL, id=0, len=0, chksum=0, proto=17)
        / UDP(sport=GTP_C_PORT, dport=GTP_C_PORT, len=0, chksum=0)
    )


def template(v6: bool, protocol: int) -> bytes:
    """Headers from Ethernet to TCP or UDP, with zero where a packet or a flow has its own value.

    Outer: IPv4, UDP without checksum (RFC 768 allows it), GTP-U v1 G-PDU without options.
    Inner: IPv4 (do not fragment) or IPv6, then TCP (20 bytes) or UDP.
    """
    from scapy.contrib.gtp import GTP_U_Header
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet import TCP as Tcp
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether
    from scapy.packet import Packet

    outer = (
        Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01", type=0x0800)
        / IP(src="0.0.0.0", dst="0.0.0.0", ttl=TTL, id=0, len=0, chksum=0, proto=17)
        / UDP(sport=GTP_U_PORT, dport=GTP_U_PORT, len=0, chksum=0)
        / GTP_U_Header(gtp_type=255, length=0, teid=0)
    )
    inner: Packet = IPv6(src="::", dst="::", hlim=TTL, plen=0, nh=protocol)
    if not v6:
        inner = IP(src="0.0.0.0", dst="0.0.0.0", ttl=TTL, id=0, len=0, chksum=0, proto=protocol)
        inner.flags = "DF"
    upper: Packet
    if protocol == TCP:
        upper = Tcp(sport=0, dport=0, seq=0, ack=0, flags=0, window=WINDOW, chksum=0)
    else:
        upper = UDP(sport=0, dport=0, len=0, chksum=0)
    return bytes(outer / inner / upper)

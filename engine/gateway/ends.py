"""Where a gateway listens: addresses as people write them, and the sockets bound to them."""

import ipaddress
import socket
from typing import NamedTuple

from engine.errors import PktollError, UsageError
from engine.gateway.sgi import EchoSgi, PcapSgi, Sgi, UdpSgi
from engine.gateway.tun import open_tun

PORT_MAX = 65_535


class End(NamedTuple):
    """One end of UDP: address as text, port."""

    address: str
    port: int

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


def parse_end(text: str, option: str) -> End:
    """ADDR:PORT or [ADDR]:PORT; UsageError. Port 0 stands for any that is free."""
    host, _, port_text = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise UsageError(f"{option} {text}: give ADDR:PORT, such as 127.0.0.1:2152") from None
    digits = port_text.isascii() and port_text.isdecimal() and len(port_text) <= 5
    if not digits or int(port_text) > PORT_MAX:
        raise UsageError(f"{option} {text}: the port is a number from 0 to {PORT_MAX}")
    if address.is_unspecified or address.is_multicast:
        raise UsageError(f"{option} {text}: peers are told this address: give one of this machine")
    return End(str(address), int(port_text))


def check_reach(end: End, option: str, beyond_loopback: bool) -> None:
    """UsageError for an address beyond this machine, unless that was asked for (G10)."""
    if not beyond_loopback and not ipaddress.ip_address(end.address).is_loopback:
        raise UsageError(
            f"{option} {end}: GTP has no keys, so nothing beyond this machine is listened to; "
            "give --beyond-loopback where the network is closed, or its namespace"
        )


def bound(end: End, option: str) -> socket.socket:
    """A UDP socket that never waits; PktollError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in end.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    try:
        sock.bind(end)
    except OSError as error:
        sock.close()
        raise PktollError(
            f"{option} {end}: {error.strerror}; take another address or port (0: any)"
        ) from None
    return sock


def end_of(sock: socket.socket) -> End:
    """Where a socket is bound."""
    return End(*sock.getsockname()[:2])


class OpenSgi(NamedTuple):
    """The SGi side, how it is told to people, its own address if any, and what is left to do by hand."""

    sgi: Sgi
    name: str
    address: str | None = None
    left: tuple[str, ...] = ()


def open_sgi(text: str, pools: tuple[str, ...], *, beyond_loopback: bool, offload: bool) -> OpenSgi:
    """tun:NAME, udp:ADDR:PORT[,ADDR:PORT], pcap:FILE or echo; UsageError, PktollError, OSError."""
    kind, _, rest = text.partition(":")
    if text == "echo":
        return OpenSgi(EchoSgi(), text)
    if kind == "pcap" and rest:
        return OpenSgi(PcapSgi(rest), text)
    if kind == "tun":
        device, left = open_tun(rest, pools)
        return OpenSgi(device, text, left=tuple(left))
    if kind == "udp":
        near_text, comma, far_text = rest.partition(",")
        near = parse_end(near_text, "--sgi udp:")
        check_reach(near, "--sgi", beyond_loopback)
        far = parse_end(far_text, "--sgi udp:…,") if comma else None
        sock = bound(near, "--sgi")
        try:
            sgi = UdpSgi(sock, far, offload=offload)
        except OSError as error:
            sock.close()
            raise PktollError(
                f"--sgi {text}: {error.strerror}; is that peer of one kind?"
            ) from None
        return OpenSgi(sgi, str(end_of(sock)), near.address)
    raise UsageError(f"--sgi {text}: give tun:NAME, udp:ADDR:PORT[,PEER:PORT], pcap:FILE or echo")

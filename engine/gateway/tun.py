"""A TUN device for the SGi side: made, addressed and routed (Linux)."""

import errno
import fcntl
import ipaddress
import os
import shutil
import socket
import struct
import subprocess

from engine.errors import PktollError, UsageError
from engine.gateway.sgi import TunSgi

DEVICE = "/dev/net/tun"
MTU_BYTES = 1400
"""byte; with the tunnel's headers around it a packet still fits into 1500: 36 over IPv4, 56 over IPv6"""
QUEUE_PACKETS = 4096
"""packets that the system keeps for us there; its own 500 are full before a busy turn is over"""
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SIOCSIFMTU, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8922, 0x8913, 0x8914
_SIOCSIFTXQLEN = 0x8943
_IFF_UP = 1
_NAME_BYTES = 16


def open_tun(name: str, pools: tuple[str, ...]) -> tuple[TunSgi, list[str]]:
    """Make the device, on which the terminals' pools are; (it, what is left to be done by hand).

    Its own addresses are the first of each pool, which no terminal is given.
    """
    if not name or len(name.encode()) >= _NAME_BYTES or "/" in name or name.isspace():
        raise UsageError(f"--sgi tun:{name}: a device's name has 1 to 15 characters")
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PktollError(_cannot(name, error)) from None
    request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, request)
        _bring_up(name)
    except OSError as error:
        os.close(descriptor)
        raise PktollError(_cannot(name, error)) from None
    return TunSgi(descriptor, name), _number(name, pools)


def _cannot(name: str, error: OSError) -> str:
    why = error.strerror or str(error)
    hint = (
        "run it with CAP_NET_ADMIN, in a network namespace of its own, or use --sgi udp:ADDR:PORT"
    )
    if error.errno == errno.EBUSY:
        hint = "another program has this device; take another name"
    return f"--sgi tun:{name}: cannot make the device: {why}; {hint}"


def _bring_up(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        label = name.encode()
        fcntl.ioctl(sock, _SIOCSIFMTU, struct.pack("16si20x", label, MTU_BYTES))
        fcntl.ioctl(sock, _SIOCSIFTXQLEN, struct.pack("16si20x", label, QUEUE_PACKETS))
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sH22x", label, 0))
        flags = struct.unpack("16sH22x", answer)[1] | _IFF_UP
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", label, flags))


def _number(name: str, pools: tuple[str, ...]) -> list[str]:
    """Give the device the first address of each pool, with `ip`; the commands that could not be run."""
    program = shutil.which("ip")
    left = []
    for pool in pools:
        net = ipaddress.ip_network(pool)
        words = ["address", "replace", f"{net[1]}/{net.prefixlen}", "dev", name]
        words = words if net.version == 4 else ["-6", *words, "nodad"]
        done = None
        if program:
            done = subprocess.run([program, *words], capture_output=True, check=False, timeout=10)
        if done is None or done.returncode:
            left.append(" ".join(["ip", *words]))
    return left

"""The kinds of network side: UDP, a capture file, echo, and a TUN device."""

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import OutputError, PktollError, UsageError
from engine.gateway import tun
from engine.gateway.ends import End, bound, check_reach, end_of, open_sgi, parse_end
from engine.gateway.hold import NEVER_NS
from engine.gateway.sgi import EchoSgi, PcapSgi, TunSgi, UdpSgi
from engine.live_layout import PIECE
from tests.support import packets
from tests.support.gateway import T0
from tests.support.plane import (
    OWN,
    SERVER,
    TEID_DOWN,
    UE,
    World,
    g_pdu,
    header,
    inner,
    listen,
    world,
)

NET = f"10.213.{os.getpid() % 256}"
"""of its own for every process that tests: two devices with one network would take each other's packets"""


# --- UDP -------------------------------------------------------------------------------------------


def test_without_a_peer_given_who_sends_first_is_it() -> None:
    """Packets up before that have nowhere to go, and are counted"""
    with listen(OWN) as far, bound(End(OWN, 0), "test") as sock:
        sgi = UdpSgi(sock, None, offload=True)
        with world(sgi=sgi) as w:
            w.attach()
            w.up(g_pdu(inner(b"early")))
            assert w.figures["sgi"]["lost"] == {"no peer yet": 1}
            far.sendto(inner(src=SERVER, dst=UE), end_of(sock))
            w.turn()
            assert len(w.out_down) == 1
            w.up(g_pdu(inner(b"now")))
            assert far.recv(2000) == inner(b"now")


def test_only_the_peer_may_send_down() -> None:
    """A connected socket: the system drops what others send"""
    with world() as w, listen(OWN) as stranger:
        w.attach()
        stranger.sendto(inner(src=SERVER, dst=UE), w.plane.sgi._sock.getsockname())  # type: ignore[attr-defined]
        w.turn()
        assert w.out_down == []
        assert w.plane.next_ns == NEVER_NS


# --- a capture file --------------------------------------------------------------------------------


def test_a_capture_holds_what_went_up_at_the_time_it_went(tmp_path: Path) -> None:
    """pcap, raw IP, nanoseconds"""
    path = tmp_path / "up.pcap"
    sgi = PcapSgi(str(path))
    with world(sgi=sgi) as w:
        w.attach()
        w.up(g_pdu(inner(b"one")), after_ns=5)
        w.up(g_pdu(inner(b"two")), after_ns=5)
        assert (sgi.receive(), sgi.pending, sgi.descriptor) == (0, False, -1)
    data = path.read_bytes()
    assert struct.unpack("<IHHiIII", data[:24]) == (0xA1B23C4D, 2, 4, 0, 0, 262144, 101)
    seconds, ns = divmod(T0 + 5, 10**9)
    size = len(inner(b"one"))
    assert data[24:40] == struct.pack("<IIII", seconds, ns, size, size)
    assert data[40 : 40 + size] == inner(b"one")
    assert data[-size:] == inner(b"two")


def rows_of(count: int) -> tuple[Any, Any]:
    """PIECE rows of packets of zeros, and their bytes."""
    data = np.zeros(100, dtype=np.uint8)
    rows = np.zeros(count, dtype=PIECE)
    rows["address"], rows["length"] = data.ctypes.data, 100
    return rows, data


def test_more_packets_than_one_call_takes_are_written_in_several(tmp_path: Path) -> None:
    path = tmp_path / "up.pcap"
    sgi = PcapSgi(str(path))
    rows, _kept = rows_of(1200)
    assert sgi.send(rows, T0) == 1200
    sgi.close()
    assert path.stat().st_size == 24 + 1200 * 116


def test_a_full_disk_is_counted_and_nothing_is_written_behind_the_tear() -> None:
    """What could not be read back would be worse than nothing"""
    sgi = PcapSgi("/dev/null")
    os.close(sgi._descriptor)
    sgi._descriptor = os.open("/dev/full", os.O_WRONLY)
    rows, _kept = rows_of(3)
    assert (sgi.send(rows, T0), sgi.send(rows, T0)) == (0, 0)
    assert sgi.figures() == {"lost": {"No space left on device": 3, "after a failed write": 3}}
    sgi.close()


def test_a_record_written_in_part_is_a_full_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sgi = PcapSgi("/dev/null")
    monkeypatch.setattr("engine.gateway.libc.write_vector", lambda *_: 7)
    rows, _kept = rows_of(3)
    assert sgi.send(rows, T0) == 0
    assert sgi.figures() == {"lost": {"the file system is full": 3}}
    sgi.close()


# --- echo ------------------------------------------------------------------------------------------


def test_an_echo_comes_back_with_its_addresses_exchanged() -> None:
    """For tests of terminals: IPv4 and IPv6"""
    with world(sgi=EchoSgi(64)) as w:
        w.attach(ipv6="2001:db8:0:1::/64")
        six = packets.ipv6(packets.udp(b"six"), src="2001:db8:0:1::5", dst="2001:db8:f::1")
        w.up(g_pdu(inner(b"four")), g_pdu(six))
        assert w.plane.next_ns == 0, "packets are there that no descriptor tells of"
        w.turn()
        back = [
            inner(b"four", src=SERVER, dst=UE),
            packets.ipv6(packets.udp(b"six"), src="2001:db8:f::1", dst="2001:db8:0:1::5"),
        ]
        assert w.out_down == [header(data, TEID_DOWN) + data for data in back]
        assert not w.plane.sgi.pending
        w.turn()
        assert w.out_down == []


def test_what_an_echo_has_no_room_for_is_counted() -> None:
    with world(sgi=EchoSgi(2)) as w:
        w.attach()
        w.up(*[g_pdu(inner(b"x"))] * 5, after_ns=1)
        assert w.figures["sgi"] == {"lost": {"no room to echo": 3}}
        assert w.figures["up"]["packets"] == 2


# --- TUN -------------------------------------------------------------------------------------------


@pytest.fixture
def device() -> Iterator[World]:
    """A world with a TUN device; skipped where none can be made, a failure where all checks run."""
    name = f"pk{os.getpid() % 100_000}"
    try:
        sgi, left = tun.open_tun(name, (f"{NET}.0/24", f"fd00:{os.getpid() % 65_536:x}::/48"))
    except PktollError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    with world(sgi=sgi) as w:
        assert left == []
        yield w


def summed(packet: bytes) -> bytes:
    """An IPv4 packet with its header's checksum (RFC 791 3.1): the system looks at it."""
    total = sum(struct.unpack("!10H", packet[:20]))
    total = (total & 0xFFFF) + (total >> 16)
    return packet[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + packet[12:]


def test_packets_go_through_a_device_to_the_system_and_back(device: World) -> None:
    """The system's own stack is the network: a terminal talks to a socket of this machine"""
    device.attach(ipv4=f"{NET}.7")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((f"{NET}.1", 0))
        server.settimeout(5)
        port = server.getsockname()[1]
        sent = inner(b"to the server", src=f"{NET}.7", dst=f"{NET}.1", dport=port)
        device.up(g_pdu(summed(sent)))
        data, terminal = server.recvfrom(100)
        assert (data, terminal) == (b"to the server", (f"{NET}.7", 40_000))
        server.sendto(b"to the terminal", terminal)
        device.turn()
    answers = [data for data in device.out_down if data.endswith(b"to the terminal")]
    assert len(answers) == 1
    assert device.plane.sgi.descriptor >= 0
    assert not device.plane.sgi.pending


def test_what_the_device_does_not_take_is_counted(device: World) -> None:
    """Down, or a packet that is none"""
    name = device.plane.sgi.name  # type: ignore[attr-defined]
    subprocess.run(["ip", "link", "set", name, "down"], check=True)
    device.attach(ipv4=f"{NET}.7")
    device.up(g_pdu(inner(b"x", src=f"{NET}.7")))
    assert device.figures["sgi"] == {"lost": {"not taken by the device": 1}}
    assert device.figures["up"]["packets"] == 0


def test_a_device_that_is_taken_away_is_said_and_not_waited_for_for_ever(device: World) -> None:
    """It would be ready to be read from for ever, and give nothing"""
    name = device.plane.sgi.name  # type: ignore[attr-defined]
    device.plane.sgi.receive()
    assert device.plane.sgi.receive() == 0, "nothing there, which is fine"
    subprocess.run(["ip", "link", "del", name], check=True)
    with pytest.raises(OutputError, match="removed"):
        device.plane.sgi.receive()


def test_a_device_takes_a_batch_of_packets_at_most(device: World) -> None:
    """So that the other side gets its turn"""
    device.attach(ipv4=f"{NET}.7")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        for _ in range(TunSgi.PACKETS + 10):
            server.sendto(bytes(10), (f"{NET}.7", 9))
    assert device.plane.sgi.receive() == TunSgi.PACKETS


def test_commands_that_could_not_be_run_are_told(
    device: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without `ip`, or where it refuses"""
    del device
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tun._number("nodevice", ("10.213.0.0/24",)) == [
        "ip address replace 10.213.0.1/24 dev nodevice"
    ]
    monkeypatch.undo()
    assert tun._number("nodevice", ("fd00:9::/48",)) == [
        "ip -6 address replace fd00:9::1/48 dev nodevice nodad"
    ]


@pytest.mark.parametrize("name", ["", "a" * 16, "a/b", " "])
def test_a_name_that_no_device_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="1 to 15 characters"):
        tun.open_tun(name, ())


def test_a_device_that_is_in_use_is_refused_in_one_line(device: World) -> None:
    name = device.plane.sgi.name  # type: ignore[attr-defined]
    with pytest.raises(PktollError, match="another program has this device") as caught:
        tun.open_tun(name, ())
    assert "\n" not in str(caught.value)


def test_without_the_right_to_make_devices_it_is_said_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("engine.gateway.tun.DEVICE", str(tmp_path / "missing"))
    with pytest.raises(PktollError, match=r"namespace.*--sgi udp:ADDR:PORT"):
        tun.open_tun("pk0", ())


# --- how they are named ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "name:1", "127.0.0.1:-1", "1:2:3"),
        *("0.0.0.0:1", "[::]:1", "224.0.0.1:1"),
    ],
)
def test_what_is_no_end_of_udp_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--gtp-u"):
        parse_end(text, "--gtp-u")


def test_ends_are_written_as_they_are_read() -> None:
    for text in ("127.0.0.1:2152", "[2001:db8::1]:0"):
        assert str(parse_end(text, "x")) == text


def test_nothing_beyond_this_machine_is_listened_to_unless_asked_for() -> None:
    """G10"""
    for address in ("192.0.2.1", "2001:db8::1"):
        with pytest.raises(UsageError, match="--beyond-loopback"):
            check_reach(End(address, 1), "--gtp-u", beyond_loopback=False)
        check_reach(End(address, 1), "--gtp-u", beyond_loopback=True)
    check_reach(End("::1", 1), "--gtp-u", beyond_loopback=False)
    with pytest.raises(UsageError, match="--beyond-loopback"):
        open_sgi("udp:192.0.2.1:0", (), beyond_loopback=False, offload=True)


def test_an_address_that_cannot_be_had_is_refused_in_one_line() -> None:
    with bound(End(OWN, 0), "test") as taken, pytest.raises(PktollError, match="in use"):
        bound(end_of(taken), "--gtp-u")


@pytest.mark.parametrize("text", ["", "echo:", "pcap:", "udp", "tap:x"])
def test_a_kind_of_network_side_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        open_sgi(text, (), beyond_loopback=False, offload=True)


def test_each_kind_of_network_side_is_opened_by_its_name(tmp_path: Path) -> None:
    for text, kind in (
        ("echo", EchoSgi),
        (f"pcap:{tmp_path / 'x.pcap'}", PcapSgi),
        (f"udp:{OWN}:0,{OWN}:9", UdpSgi),
        ("udp:[::1]:0", UdpSgi),
    ):
        opened = open_sgi(text, (), beyond_loopback=False, offload=False)
        assert isinstance(opened.sgi, kind)
        opened.sgi.close()
    assert opened.name.startswith("[::1]:")
    with pytest.raises(PktollError, match="of one kind"):
        open_sgi(f"udp:{OWN}:0,[::1]:9", (), beyond_loopback=False, offload=False)


def test_a_device_is_opened_by_its_name(device: World) -> None:
    """And says what is left to be done by hand"""
    del device
    name = f"pq{os.getpid() % 100_000}"
    opened = open_sgi(f"tun:{name}", ("10.214.0.0/24",), beyond_loopback=False, offload=True)
    assert (opened.name, opened.left) == (f"tun:{name}", ())
    opened.sgi.close()

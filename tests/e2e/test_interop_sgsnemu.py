"""With software that was not written here: Debian's SGSN emulator attaches to `pktoll serve`."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.osmo import need
from tests.support.serve import lines
from tests.support.sgsnemu import GGSN, HOST, NAMED, Site, captured, records, site
from tests.support.tshark import fields, need_tshark

TERMINAL = "10.64.0.2"
OVER = "Received delete PDP context response"
PING_BYTES = 84
TRANSFER_BYTES = 300_000
"""byte; more than a window of TCP, so that both directions carry it"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Site]:
    need("sgsnemu", "ip", "stdbuf")
    book = lines(tmp_path / "lines.toml", 3)
    with site(tmp_path, book, "--records", str(tmp_path / "records.jsonl")) as made:
        yield made


def used(place: Site) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Stop the gateway: its usage records and its report."""
    status, said = place.gateway.stop()
    assert status == 0, said
    return records(place.folder / "records.jsonl"), place.gateway.report()


def all_charged(used: dict[str, int]) -> bool:
    """Whether every byte was charged, but for one packet that came before the first slice did."""
    slow = used["slow_bytes"]
    whole = used["inner_bytes"] == used["charged_bytes"] + slow == used["carried_bytes"]
    return whole and slow <= PING_BYTES


def ping(count: int) -> tuple[str, ...]:
    return ("--pinghost", HOST, "--pingcount", str(count), "--pingrate", "20")


def test_it_attaches_pings_a_host_behind_the_gateway_and_detaches(place: Site) -> None:
    """N1, N2, N4: PAP, an address, both directions, and every byte in the usage record"""
    said = place.emulate(*NAMED, *ping(20), until=OVER)
    assert f"received EUA with IP address: {TERMINAL}" in said
    assert "20 packets transmitted" in said
    assert "20 packets received, 0% packet loss" in said
    assert f"{OVER}. Cause value: 128" in said
    device = place.device("pgw0")
    assert '"txqlen":4096' in place.there.ip("-j", "link", "show", "pgw0")
    ((record,), report) = used(place)
    up, down = record["up"], record["down"]
    assert (up["packets"], down["packets"]) == (20, 20)
    assert all_charged(up | {"carried_bytes": device["rx"]["bytes"]})
    assert all_charged(down | {"carried_bytes": device["tx"]["bytes"]})
    assert up["inner_bytes"] == down["inner_bytes"] == 20 * PING_BYTES
    assert record["reason"] == "deleted"
    assert (record["version"], record["rat_type"], record["network"]) == (1, None, None)
    assert report["totals"]["inner_bytes"] == 2 * 20 * PING_BYTES


def transfer(place: Site) -> None:
    """TCP from the terminal to the host and back, through the emulator's and the gateway's devices."""
    with (
        place.there.socket(socket.SOCK_STREAM) as host,
        place.here.socket(socket.SOCK_STREAM) as near,
    ):
        host.bind((HOST, 80))
        host.listen()

        def serve() -> None:
            far, _ = host.accept()
            with far:
                far.settimeout(20)
                while data := far.recv(65_536):
                    far.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        near.settimeout(20)
        near.bind((TERMINAL, 0))
        near.connect((HOST, 80))
        sender = threading.Thread(target=lambda: near.sendall(bytes(TRANSFER_BYTES)))
        sender.start()
        got = 0
        while got < TRANSFER_BYTES and (data := near.recv(65_536)):
            got += len(data)
        sender.join()
        near.shutdown(socket.SHUT_WR)
        assert near.recv(1) == b""
        thread.join()
    assert got == TRANSFER_BYTES


def test_a_connection_through_its_device_is_charged_to_the_byte(place: Site) -> None:
    """N1, N2, N4, U3: the system counts at the TUN device what the gateway has charged"""
    options = ("--createif", "--tun-device", "sgsn0", "--rai", "440.10.1.1", "--rattype", "1")
    with place.emulator(*NAMED, *options) as emulator:
        emulator.heard("Adding IP to local pool")
        place.here.ip("route", "add", f"{HOST}/32", "dev", "sgsn0")
        transfer(place)
        with place.here.udp(TERMINAL, 5000) as near, place.there.udp(HOST, 53) as host:
            near.sendto(b"up", (HOST, 53))
            data, terminal = host.recvfrom(100)
            host.sendto(b"down", terminal)
            assert (data, near.recv(100)) == (b"up", b"down")
        device = place.device("pgw0")
        ((record,), report) = used(place)
    up, down = record["up"], record["down"]
    for counted, way in ((up, "rx"), (down, "tx")):
        assert counted["packets"] == device[way]["packets"]
        assert all_charged(counted | {"carried_bytes": device[way]["bytes"]})
        assert counted["charged_bytes"] > TRANSFER_BYTES
    assert (record["rat_type"], record["network"], record["reason"]) == (
        "UTRAN",
        "440-10",
        "stopped",
    )
    assert report["drops"] == {}


def test_ten_contexts_have_ten_sessions_of_their_own(tmp_path: Path) -> None:
    """N6: ten SIMs (it counts in the last digit but one), ten addresses, as many pings on each"""
    need("sgsnemu", "ip", "stdbuf")
    book = lines(tmp_path / "lines.toml", 91)
    with site(tmp_path, book, "--records", str(tmp_path / "records.jsonl")) as place:
        said = place.emulate(*NAMED, "--contexts", "10", *ping(50), until="50 packets received")
        found, _ = used(place)
    assert said.count("received EUA with IP address") == 10
    assert len({record["ipv4"] for record in found}) == 10
    assert {record["imsi"] for record in found} == {f"44010{n:010}" for n in range(1, 92, 10)}
    assert [record["up"]["packets"] for record in found] == [5] * 10
    assert [record["down"]["inner_bytes"] for record in found] == [5 * PING_BYTES] * 10


WRONG = [
    (("--apn", "iijmio.jp", "--uid", "mio@iij", "--pwd", "no"), 209),
    (("--apn", "iijmio.jp", "--uid", "mio@ij", "--pwd", "iij"), 209),
    (("--apn", "internet", "--uid", "mio@iij", "--pwd", "iij"), 219),
    ((*NAMED, "--imsi", "440109999999999"), 194),
    ((*NAMED, "--rai", "440.20.1.1"), 205),
    ((*NAMED, "--rai", "310.410.1.1"), 205),
    ((*NAMED, "--rattype", "3"), 200),
]


def test_it_is_told_why_it_is_refused(place: Site) -> None:
    """N1, N4, N5, N6: user authentication failed, unknown APN, IMSI not known, roaming, radio access"""
    for options, cause in WRONG:
        said = place.emulate(*options, until="Received create PDP context response")
        assert f"Received create PDP context response. Cause value: {cause}" in said, options
    found, report = used(place)
    assert (found, report["gateway"]["sessions"]) == ([], 0)


def test_all_that_it_is_sent_dissects_without_a_word_of_complaint(place: Site) -> None:
    """every datagram of the gateway's, in a capture taken on the cable"""
    need_tshark()
    if shutil.which("dumpcap") is None:
        if os.environ.get("CI"):
            pytest.fail("dumpcap is not installed")
        pytest.skip("dumpcap is not installed: nothing can be captured")
    path = place.folder / "cable.pcap"
    with captured(place.here, path):
        place.emulate(*NAMED, *ping(3), until=OVER)
        for options, _ in WRONG:
            place.emulate(*options, until="Received create PDP context response")
        with place.emulator(*NAMED, "--createif", "--tun-device", "sgsn0") as emulator:
            emulator.heard("Adding IP to local pool")
            used(place)
            assert emulator.process.wait(10) == 0  # asked to end the session, it ends itself
    columns = ("ip.src", "gtp.message", "_ws.malformed", "_ws.expert.message")
    rows = fields(path, columns, place.folder)
    ours = [row for row in rows if row[0].split(",")[0] == GGSN]
    assert {int(row[1], 0) for row in ours} == {0x02, 0x11, 0x14, 0x15, 0xFF}
    assert [row for row in ours if row[2] or row[3]] == []
    assert sum(int(row[1], 0) == 0xFF for row in ours) == 3

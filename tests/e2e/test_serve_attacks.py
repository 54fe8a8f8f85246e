"""What comes from outside at the real ports of a gateway that serves: octets made by hand."""

import socket
import struct
import time
from pathlib import Path
from typing import Any

from tests.support.command import spawn
from tests.support.serve import Peer, Serving, free_port, lines, peer_of, serving

SERVER = "198.51.100.9"
STRANGER = "127.0.7.7"


def ip4(src: str, dst: str, payload: bytes = b"", port: int = 443, **fields: int) -> bytes:
    """An IPv4 packet of UDP, without the checksums that a gateway does not look at."""
    udp = struct.pack("!HHHH", 40_000, port, 8 + len(payload), 0) + payload
    first, total = fields.get("first", 0x45), fields.get("total", 20 + len(udp))
    head = struct.pack("!BBHHHBBH", first, 0, total, 1, 0, 64, 17, 0)
    return head + socket.inet_aton(src) + socket.inet_aton(dst) + udp


def g_pdu(teid: int, inner: bytes, flags: int = 0x30, options: bytes = b"") -> bytes:
    return struct.pack("!BBHI", flags, 255, len(options) + len(inner), teid) + options + inner


def user_attacks(teid: int, mine: str, gateway: str) -> list[tuple[bytes, str]]:
    """Datagrams of the session's own peer, and why each is dropped."""
    good = ip4(mine, SERVER)
    chain = b"\0\0\0\x20" + b"\1\0\0\x20" * 8 + b"\1\0\0\0"
    return [
        (b"", "short"),
        (g_pdu(teid, good)[:7], "short"),
        (b"\x10" + g_pdu(teid, good)[1:], "version"),
        (b"\x20" + g_pdu(teid, good)[1:], "proto"),
        (g_pdu(teid, good, 0x34, b"\0\0\0\xff\0\0\0\0"), "ext_len"),
        (bytes.fromhex("36ff000400000001000000ff"), "short"),
        (g_pdu(teid, good, 0x34, chain), "ext_count"),
        (g_pdu(teid, b""), "empty"),
        (g_pdu(teid, good, 0x34, b"\0\0\0\xc9\1\0\0\0"), "ext_required"),
        (b"\x30\x01\0\4" + bytes(8), "noseq"),
        (g_pdu(0, good), "teid"),
        (g_pdu(teid ^ 1, good), "teid"),
        (g_pdu(teid, ip4(mine, gateway, g_pdu(teid, good), 2152)), "gtp_in_gtp"),
        (g_pdu(teid, ip4(mine, gateway, b"x", 2123)), "infra"),
        *(
            (g_pdu(teid, ip4(mine, nobody)), "infra")
            for nobody in ("127.9.9.9", "224.0.0.1", "0.0.0.0", "169.254.169.254", "10.64.0.1")
        ),
        *(
            (g_pdu(teid, ip4(forged, SERVER)), "spoof")
            for forged in ("8.8.8.8", "127.0.0.1", "0.0.0.0", "255.255.255.255", "10.64.0.200")
        ),
        (g_pdu(teid, ip4(mine, SERVER, first=0x44)), "ihl"),
        (g_pdu(teid, ip4(mine, SERVER, total=19)), "len"),
        (g_pdu(teid, ip4(mine, SERVER, first=0x55)), "ipver"),
    ]


def echoed(peer: Peer, teid: int, mine: str, mark: bytes) -> bool:
    """Whether a good packet goes through: with `--sgi echo` it comes back."""
    peer.user.sendto(g_pdu(teid, ip4(mine, SERVER, mark)), peer.gateway.end("gtp_u"))
    while True:
        data = peer.user.recv(70_000)
        if data[1] == 255:
            return data.endswith(mark)


def counted(client: Any) -> dict[str, int]:
    drops: dict[str, Any] = client.totals()["gateway"]["drops"]
    return {name: count["packets"] for name, count in drops.items()}


def stranger_at(gateway: Serving, attacks: list[bytes], teid: int, mine: str) -> None:
    """Somebody else with the session's TEIDs: G-PDUs, Error Indications, control messages."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((STRANGER, 0))
        sock.sendto(g_pdu(teid, ip4(mine, SERVER)), gateway.end("gtp_u"))
        forged = b"\x10" + struct.pack("!I", 0x11) + b"\x85\0\4" + socket.inet_aton("127.0.0.1")
        message = struct.pack("!BBHI", 0x30, 26, len(forged), 0) + forged
        sock.sendto(message, gateway.end("gtp_u"))
        for data in attacks:
            sock.sendto(data, gateway.end("gtp_c"))


def control_attacks(teid: int) -> list[bytes]:
    """A stranger's Delete, restart counters, nested and endless elements, other versions, nothing."""

    def message(kind: int, body: bytes, to: int | None = None) -> bytes:
        head = struct.pack("!I", to) if to is not None else b""
        flags = 0x40 if to is None else 0x48
        rest = head + struct.pack("!I", 7 << 8) + body
        return struct.pack("!BBH", flags, kind, len(rest)) + rest

    nested = b""
    for _ in range(100):
        nested = struct.pack("!BHB", 93, len(nested), 0) + nested
    return [
        message(36, b"\x49\0\1\0\5", teid),
        message(1, b"\3\0\1\0\x55"),
        message(1, b"\3\0\1\0\x56"),
        message(32, nested, 0),
        message(32, b"\1\xff\xff\0", 0),
        message(32, b"\xff\0\0\0" * 10_000, 0),
        b"\x10\x20\0\0" + bytes(16),
        b"\x68\x20\0\4" + bytes(4),
        b"\x48",
        b"",
    ]


def test_nothing_that_comes_at_the_ports_is_charged_or_ends_the_session(tmp_path: Path) -> None:
    """B01-B22, B41-B50, N7, C1-C24: dropped by its reason, 0 bytes charged, and the session is served on"""
    from engine.service.client import Client

    port = free_port()
    options = ["--subscribers", lines(tmp_path / "lines.toml"), "--peer-port", str(port), "-q"]
    options += ["--service", f"ipc://{tmp_path / 'service'}"]
    with serving(tmp_path, *options) as gateway, peer_of(gateway, port) as peer:
        answer, teid, mine = peer.attach(1, 0x11)
        with Client(gateway.ready["service"]) as client:
            assert echoed(peer, teid, mine, b"before")
            before = client.usage("hdo00000001")
            want: dict[str, int] = {"peer": 1}
            for data, reason in user_attacks(teid, mine, gateway.end("gtp_u")[0]):
                peer.user.sendto(data, gateway.end("gtp_u"))
                want[reason] = want.get(reason, 0) + 1
            control = answer.control.teid if answer.control else 0
            stranger_at(gateway, control_attacks(control), teid, mine)
            end_s = time.monotonic() + 10
            while counted(client) != want and time.monotonic() < end_s:
                time.sleep(0.02)
            assert counted(client) == want
            after = client.usage("hdo00000001")
            kinds = [f"{kind}_bytes" for kind in ("charged", "slow", "exempt", "free")]
            for way in ("up", "down"):
                assert [after[way][k] for k in kinds] == [before[way][k] for k in kinds]
            assert client.totals()["gateway"]["sessions"] == 1
            assert client.totals()["gateway"]["paths"]["error-indication-ignored"] == 1
            assert echoed(peer, teid, mine, b"after")
        assert gateway.stop() == (0, "")


def test_a_report_that_cannot_be_written_leaves_nothing_uncertain(tmp_path: Path) -> None:
    """G4: an error of output only; every slice is settled before the command says so"""
    pool = f"sqlite:///{tmp_path / 'coupons.db'}"
    port = free_port()
    options = ["--subscribers", lines(tmp_path / "lines.toml"), "--pool", pool, "-q"]
    options += ["--peer-port", str(port), "--report", str(tmp_path / "no" / "such.json")]
    with serving(tmp_path, *options) as gateway, peer_of(gateway, port) as peer:
        _, teid, mine = peer.attach(1, 0x11)
        assert echoed(peer, teid, mine, b"used")
        status, said = gateway.stop()
    assert (status, said.count("\n")) == (1, 1)
    assert "such.json: No such file or directory; the ledger is complete" in said
    audit = spawn("pool", "audit", pool)
    assert (audit.status, "uncertain: line" in audit.out) == (0, False)

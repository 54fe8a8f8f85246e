"""Lists of packets out by UDP: runs of one size, and what happens where the system will not take them."""

import ctypes
import errno
import socket
from typing import Any

import numpy as np
import pytest

from engine.gateway import libc
from engine.gateway.ends import End, bound, end_of
from engine.gateway.inbox import SPANS, Inbox
from engine.gateway.send import Outbox
from engine.live_layout import PIECE
from tests.support.plane import OWN, heard, listen

Rows = Any


def pieces_of(datagrams: list[bytes]) -> tuple[Rows, list[Any]]:
    """PIECE rows of these, and what keeps their bytes in memory."""
    kept = [ctypes.create_string_buffer(data, len(data)) for data in datagrams]
    rows = np.zeros(len(datagrams), dtype=PIECE)
    rows["address"] = [ctypes.addressof(one) for one in kept]
    rows["length"] = [len(data) for data in datagrams]
    return rows, kept


@pytest.fixture
def ends() -> Any:
    """(sender, receiver), connected."""
    receiver = listen(OWN)
    sender = bound(End(OWN, 0), "test")
    sender.connect(end_of(receiver))
    with receiver, sender:
        yield sender, receiver


def send(box: Outbox, datagrams: list[bytes]) -> int:
    rows, kept = pieces_of(datagrams)
    sent = box.send_packets(rows, 0)
    assert len(kept) == len(datagrams)
    return sent


def sizes(*counts: tuple[int, int]) -> list[bytes]:
    """Datagrams of these (number, size)."""
    made = [size for number, size in counts for _ in range(number)]
    return [bytes([k & 255]) * size for k, size in enumerate(made)]


@pytest.mark.parametrize(
    ("datagrams", "messages"),
    [
        (sizes((10, 100)), 1),
        (sizes((10, 100), (1, 60), (5, 60)), 2),
        (sizes((1, 60), (3, 100)), 2),
        (sizes((130, 50)), 3),
        (sizes((50, 1400)), 2),
        (sizes((2, 100), (1, 101), (1, 100)), 2),
    ],
    ids=["one run", "a shorter one ends it", "longer begins anew", "64 at most", "65 kB", "mixed"],
)
def test_neighbours_of_one_size_are_one_message_and_arrive_one_by_one(
    ends: Any, datagrams: list[bytes], messages: int
) -> None:
    """linux/udp.h UDP_SEGMENT"""
    sender, receiver = ends
    libc.widen(receiver, 1 << 22)
    box = Outbox(sender, name_bytes=0, gso=True)
    assert send(box, datagrams) == len(datagrams)
    used = box.messages["iovecs"]
    assert used[:messages].all()
    assert int(used[:messages].sum()) == len(datagrams)
    assert heard(receiver) == datagrams


def test_without_offload_each_is_a_message(ends: Any) -> None:
    sender, receiver = ends
    box = Outbox(sender, name_bytes=0, gso=False)
    datagrams = sizes((10, 100))
    assert send(box, datagrams) == 10
    assert (box.messages["iovecs"][:10] == 1).all()
    assert heard(receiver) == datagrams


def test_a_list_longer_than_the_messages_goes_out_in_several(ends: Any) -> None:
    """Memory is bounded, the list is not"""
    sender, receiver = ends
    box = Outbox(sender, name_bytes=0, gso=True, pieces=7)
    datagrams = sizes((20, 50))
    assert send(box, datagrams) == 20
    assert heard(receiver) == datagrams
    assert send(box, []) == 0


def test_what_is_too_long_for_a_datagram_is_lost_and_named(ends: Any) -> None:
    """The rest of the list goes out all the same"""
    sender, receiver = ends
    box = Outbox(sender, name_bytes=0, gso=True)
    datagrams = [*sizes((2, 100)), bytes(65_520), *sizes((2, 90))]
    assert send(box, datagrams) == 4
    assert box.lost == {"EMSGSIZE": 1}
    assert heard(receiver) == datagrams[:2] + datagrams[3:]


def refusing(monkeypatch: pytest.MonkeyPatch, *faults: int, sent: int = 0) -> None:
    """The system refuses the next calls, after some messages of the first, with these errors."""
    real = libc.send_messages
    left = list(faults)

    def call(descriptor: int, messages: int, count: int) -> tuple[int, int]:
        nonlocal sent
        if sent:
            done, sent = real(descriptor, messages, sent), 0
            return done
        return (0, left.pop(0)) if left else real(descriptor, messages, count)

    monkeypatch.setattr("engine.gateway.libc.send_messages", call)


@pytest.mark.parametrize("fault", [errno.EINVAL, errno.EMSGSIZE])
def test_runs_longer_than_the_link_takes_are_sent_one_by_one(
    ends: Any, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    """A link whose MTU is below the size: the system refuses the run, not the datagram"""
    sender, receiver = ends
    box = Outbox(sender, name_bytes=0, gso=True)
    datagrams = sizes((5, 50), (4, 1000), (6, 50))
    refusing(monkeypatch, fault, sent=1)
    assert send(box, datagrams) == 15
    assert (box.segment_max, box.segments > 1) == (999, True)
    assert heard(receiver) == datagrams
    assert send(box, datagrams) == 15
    assert heard(receiver) == datagrams


def test_where_runs_are_not_known_all_is_sent_one_by_one(
    ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = ends
    box = Outbox(sender, name_bytes=0, gso=True)
    datagrams = sizes((5, 50))
    refusing(monkeypatch, errno.EIO)
    assert send(box, datagrams) == 5
    assert box.segments == 1
    assert heard(receiver) == datagrams


@pytest.mark.parametrize("fault", [errno.EINTR, errno.EAGAIN, errno.ENOBUFS])
def test_a_moment_without_room_is_waited_for(
    ends: Any, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    sender, receiver = ends
    box = Outbox(sender, name_bytes=0, gso=False)
    refusing(monkeypatch, fault)
    assert send(box, sizes((3, 50))) == 3
    assert (box.lost, len(heard(receiver))) == ({}, 3)


def test_a_buffer_that_stays_full_loses_the_rest_of_the_list_and_says_so(
    ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet path that stands still would lose more"""
    sender, receiver = ends
    box = Outbox(sender, name_bytes=0, gso=False)
    refusing(monkeypatch, *[errno.EAGAIN] * 9, sent=2)
    assert send(box, sizes((7, 50))) == 2
    assert (box.lost, len(heard(receiver))) == ({"EAGAIN": 5}, 2)


def test_a_receiver_that_is_gone_is_counted_and_the_others_are_served(ends: Any) -> None:
    """ECONNREFUSED on a connected socket"""
    sender, receiver = ends
    receiver.close()
    box = Outbox(sender, name_bytes=0, gso=False)
    for _ in range(3):
        send(box, sizes((4, 50)))
    assert set(box.lost) == {"ECONNREFUSED"}


def test_descriptors_that_cannot_be_read_raise_nothing() -> None:
    """An error that belongs to an earlier datagram is passed over"""
    with bound(End(OWN, 0), "test") as sock:
        inbox = Inbox(sock, gro=False)
        assert inbox.receive() == 0
    assert inbox.receive() == 0


def test_a_system_without_gro_gives_one_datagram_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """linux/udp.h UDP_GRO is asked for where there is one"""
    monkeypatch.setattr("engine.gateway.libc.UDP_GRO", 9999)
    with listen(OWN) as sender, bound(End(OWN, 0), "test") as sock:
        inbox = Inbox(sock, gro=True)
        assert not inbox.gro
        sender.sendto(b"one", end_of(sock))
        assert inbox.receive() == 1
        assert inbox.datagram(0) == (b"one", tuple(end_of(sender)))


def test_after_long_runs_fewer_messages_are_taken_at_once() -> None:
    """A batch stays bounded: runs of 64 datagrams, 64 messages"""
    with listen(OWN) as sender, bound(End(OWN, 0), "test") as sock:
        inbox = Inbox(sock, gro=True)
        assert inbox.gro
        for expected in (64, 64):
            sender.sendmsg([bytes(640)], [(17, 103, (10).to_bytes(2, "little"))], 0, end_of(sock))
            assert inbox.receive() == expected
            assert inbox.spans["length"][:64].tolist() == [10] * 64
        assert len(inbox.spans) > SPANS
        for n in range(100):
            sender.sendto(bytes([n]), end_of(sock))
        assert inbox.receive() == 64
        assert inbox.receive() == 36


def test_more_datagrams_than_the_list_holds_are_not_written_past_its_end() -> None:
    """The system's own bound keeps that from happening; if it did not, memory is safe"""
    with listen(OWN) as sender, bound(End(OWN, 0), "test") as sock:
        inbox = Inbox(sock, gro=True)
        inbox.spans = inbox.spans[:5]
        sender.sendmsg([bytes(640)], [(17, 103, (10).to_bytes(2, "little"))], 0, end_of(sock))
        sender.sendto(b"x", end_of(sock))
        assert inbox.receive() == 5


def test_drops_of_a_full_socket_are_read_from_the_system() -> None:
    """SO_MEMINFO; nothing that was lost goes unsaid"""
    with listen(OWN) as sender, bound(End(OWN, 0), "test") as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for _ in range(50):
            sender.sendto(bytes(1000), end_of(sock))
        assert 0 < libc.socket_drops(sock) < 50
    assert libc.socket_drops(sock) == 0


def test_buffers_are_as_large_as_the_system_lets_us_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With CAP_NET_ADMIN larger than others may"""
    with bound(End(OWN, 0), "test") as sock:
        monkeypatch.setattr("engine.gateway.libc.SO_RCVBUFFORCE", socket.SO_RCVBUF)
        libc.widen(sock, 1 << 20)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= 1 << 20


def test_without_the_right_to_force_buffers_they_are_asked_for() -> None:
    class Denied(socket.socket):
        """A socket of somebody without CAP_NET_ADMIN."""

        def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
            if option in (libc.SO_RCVBUFFORCE, libc.SO_SNDBUFFORCE):
                raise PermissionError(errno.EPERM, "not permitted")
            super().setsockopt(level, option, value)

    with Denied(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        libc.widen(sock, before)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= before


def test_a_poller_says_which_are_ready_and_waits_no_longer_than_it_is_told() -> None:
    with listen(OWN) as one, listen(OWN) as other:
        poller = libc.Poller()
        poller.watch([one.fileno(), other.fileno()])
        assert poller.wait(0) == [False, False]
        one.sendto(b"x", end_of(other))
        assert poller.wait(10**9) == [False, True]
        poller.watch([one.fileno()], writing=one.fileno())
        assert poller.wait(10**9) == [True]


def test_a_poller_reports_what_the_system_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """EINTR is a signal: nothing is ready, and nothing is wrong"""
    poller = libc.Poller()
    poller.watch([0])

    def fail(*_: Any) -> int:
        ctypes.set_errno(failing)
        return -1

    monkeypatch.setattr("engine.gateway.libc._PPOLL", fail)
    failing = errno.EINTR
    assert poller.wait(0) == []
    failing = errno.ENOMEM
    with pytest.raises(OSError, match="memory"):
        poller.wait(0)

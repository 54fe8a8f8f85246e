"""The data plane: bearers, and the way of a batch of packets from one side to the other.

    GTP-U socket ─ recvmmsg ─ take_uplink ─┐                      ┌─ sort_out ─ SGi side
                                           ├─ engine (one call) ──┤     └─ hold ─┐
    SGi side ──────────────── take_downlink┘                      └─ sendmmsg ─ GTP-U socket

Python runs once a batch, never once a packet.
"""

import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.clock import RunningDate
from engine.gateway import libc
from engine.gateway.bearers import Bearers
from engine.gateway.figures import plane_figures
from engine.gateway.hold import NEVER_NS, Hold, let_go, reclaim, refuse_waiting, sort_out
from engine.gateway.inbox import SOCKET_BYTES, Inbox
from engine.gateway.paths import Datagram, Paths
from engine.gateway.paths import end_marker as marker_of
from engine.gateway.receive import take_downlink, take_uplink
from engine.gateway.send import Outbox
from engine.gateway.session import Session
from engine.gateway.sgi import Sgi
from engine.layout import PACKET, VERDICT, aligned_zeros
from engine.live_layout import (
    PIECE,
    PLANE_BACKLOG,
    PLANE_BUFFER,
    PLANE_DOWN_BYTES,
    PLANE_DOWN_PACKETS,
    PLANE_ENDPOINT,
    PLANE_NOW_NS,
    PLANE_OTHER_LIST,
    PLANE_OTHERS,
    PLANE_OUT_DOWN,
    PLANE_OUT_UP,
    PLANE_ROWS,
    PLANE_STRAY_LIST,
    PLANE_STRAYS,
    PLANE_UP_BYTES,
    PLANE_UP_PACKETS,
    PLANE_UPLINKS,
    PLANE_WORDS,
)
from engine.runtime import Engine
from engine.wire.addresses import parse_address

Rows = npt.NDArray[Any]

GTP_U_PORT = 2152
RELEASED_MAX = 4096
"""packets that have waited and are let out in one turn"""
HOLD_PACKETS = 1 << 17
"""packets that may wait at once, unless said otherwise"""


def no_session(teid: int, peer: str, now_ns: int) -> None:
    """What is done about an Error Indication while there is no control plane."""


class Plane:
    """Carries the packets of open sessions; `engine.gateway.session.DataPlane`.

    `sock` is the GTP-U socket, bound to `address`; `date` the gateway's time.
    """

    def __init__(
        self,
        engine: Engine,
        sock: socket.socket,
        sgi: Sgi,
        date: RunningDate,
        *,
        address: str,
        peer_port: int = GTP_U_PORT,
        hold_packets: int = HOLD_PACKETS,
        offload: bool = True,
    ) -> None:
        self.engine, self.sgi, self.date = engine, sgi, date
        self.sock = sock
        libc.widen(sock, SOCKET_BYTES)
        self.words: Rows = np.zeros(PLANE_WORDS, dtype=np.int64)
        self.bearers = Bearers(engine.endpoints, peer_port)
        self.bearers.nodes.add(address)
        self.inbox = Inbox(sock, gro=offload)
        self.hold = Hold(hold_packets, self.words)
        self.paths = Paths(address, peer_port, self._unknown_to_peer)
        self.on_error: Callable[[int, str, int], Any] = no_session
        rows = len(self.inbox.spans) + len(sgi.spans)
        self._packets: Rows = aligned_zeros(rows, PACKET)
        self._verdicts: Rows = aligned_zeros(rows, VERDICT)
        self._pieces: Rows = np.zeros(rows, dtype=PIECE)
        self._out_up: Rows = np.zeros(rows + RELEASED_MAX, dtype=PIECE)
        self._out_down: Rows = np.zeros(rows + RELEASED_MAX, dtype=PIECE)
        name_bytes = 16 if sock.family == socket.AF_INET else 28
        self.outbox = Outbox(sock, name_bytes=name_bytes, gso=offload)
        self.words[PLANE_ENDPOINT] = engine.endpoints.intern(*parse_address(address))

    # --- sessions: DataPlane ----------------------------------------------------------------------

    def open(self, session: Session) -> None:
        """Carry the packets of a new session; sets `session.bearer`."""
        self.bearers.open(session, self.date.now_ns())

    def move(self, session: Session) -> None:
        """The session's `teid_down` or `peer_user` is another now; the old end gets an End Marker."""
        peer, teid = self.bearers.move(session)
        if (peer, teid) != (session.peer_user, session.teid_down):
            self.say((marker_of(teid), (peer, self.bearers.peer_port)))

    def close(self, session: Session, *, end_marker: bool = False) -> None:
        """Carry no more. What of it waits for its departure is not sent, but counted."""
        peer, teid = self.bearers.close(session)
        if end_marker:
            self.say((marker_of(teid), (peer, self.bearers.peer_port)))

    def last_active_ns(self, session: Session) -> int:
        """ns since 1970; of the last packet in either direction, of the opening where there was none."""
        return int(self.bearers.rows[session.bearer]["last_ns"])

    # --- packets ----------------------------------------------------------------------------------

    def turn(self, *, uplink: bool, downlink: bool) -> None:
        """Take what has come on these sides, at most a batch each, and send all that may leave by now."""
        received = self.inbox.receive() if uplink else 0
        returned = self.sgi.receive() if downlink else 0
        words = self.words
        # Read only now: what came while it was received has come by this time, and none is let out early.
        now_ns = words[PLANE_NOW_NS] = self.date.now_ns()
        words[PLANE_ROWS] = words[PLANE_OUT_UP] = words[PLANE_OUT_DOWN] = 0
        words[PLANE_OTHERS] = words[PLANE_STRAYS] = 0
        self._let_go(RELEASED_MAX)
        self._take_uplink(received)
        words[PLANE_UPLINKS] = words[PLANE_ROWS]
        self._take_downlink(returned)
        if words[PLANE_ROWS]:
            self._decide(int(words[PLANE_ROWS]))
        self._send(now_ns)
        if words[PLANE_OTHERS] or words[PLANE_STRAYS]:
            self._answer(now_ns)

    @property
    def next_ns(self) -> int:
        """ns since 1970; when there is something to do although nothing comes, NEVER_NS where never."""
        if self.sgi.pending or self.words[PLANE_BACKLOG]:
            return 0
        return self.hold.next_ns

    def _let_go(self, room: int) -> None:
        lists = self._out_up, self._out_down, self.words
        let_go(room, self.hold.tables, self.bearers.rows, *lists)

    def _take_uplink(self, count: int) -> None:
        inbox = self.inbox
        if count:
            self.words[PLANE_BUFFER] = inbox.address
            rows = self._packets, self._pieces, self.words
            take_uplink(inbox.buffer, inbox.spans, count, inbox.names, self.bearers.tables, *rows)

    def _take_downlink(self, count: int) -> None:
        sgi = self.sgi
        if count:
            self.words[PLANE_BUFFER] = sgi.address
            rows = self._packets, self._pieces, self.words
            take_downlink(sgi.buffer, sgi.spans, count, self.bearers.tables, *rows)

    def _decide(self, count: int) -> None:
        """Have the engine judge the batch, and sort it into what leaves now and what waits."""
        if self.hold.is_short(count):
            refuse_waiting(self._packets, self._pieces, self.bearers.rows, self.words)
        verdicts = self._verdicts[:count]
        self.engine.account(self._packets[:count], verdicts)
        lists = self._out_up, self._out_down, self.words
        sort_out(verdicts, self._pieces, self.bearers.rows, self.hold.tables, *lists)

    def _send(self, now_ns: int) -> None:
        words = self.words
        up, down = int(words[PLANE_OUT_UP]), int(words[PLANE_OUT_DOWN])
        if up:
            pieces = self._out_up[:up]
            words[PLANE_UP_PACKETS] += self.sgi.send(pieces, now_ns)
            words[PLANE_UP_BYTES] += int(pieces["length"].sum())
        if down:
            pieces = self._out_down[:down]
            names = self.bearers.names.ctypes.data
            words[PLANE_DOWN_PACKETS] += self.outbox.send_g_pdus(pieces, self.bearers.rows, names)
            words[PLANE_DOWN_BYTES] += int(pieces["length"].sum())
        reclaim(self.hold.tables, words)

    # --- between nodes ----------------------------------------------------------------------------

    def say(self, datagram: Datagram) -> None:
        """Send one message to a peer; what cannot be sent is lost, as on any network."""
        data, peer = datagram
        try:
            self.sock.sendto(data, peer)
        except OSError:
            self.paths.counters["not-sent"] += 1

    def _answer(self, now_ns: int) -> None:
        words = self.words
        for at in words[PLANE_OTHER_LIST : PLANE_OTHER_LIST + words[PLANE_OTHERS]].tolist():
            for datagram in self.paths.receive(*self.inbox.datagram(at), now_ns):
                self.say(datagram)
        for at in words[PLANE_STRAY_LIST : PLANE_STRAY_LIST + words[PLANE_STRAYS]].tolist():
            if not self.paths.complaints.left(now_ns):
                break
            data, peer = self.inbox.datagram(at)
            for datagram in self.paths.stray(data, peer[0], now_ns):
                self.say(datagram)

    def _unknown_to_peer(self, teid: int, peer: str) -> bool:
        if self.bearers.of_peer(peer, teid) is None:
            return False
        self.on_error(teid, peer, self.date.now_ns())
        return True

    # --- the end ----------------------------------------------------------------------------------

    def give_up_waiting(self) -> None:
        """Count what waits as not sent: bearers are closed, and no more turns follow."""
        self.words[PLANE_NOW_NS] = NEVER_NS
        while len(self.hold):
            self.words[PLANE_OUT_UP] = self.words[PLANE_OUT_DOWN] = 0
            self._let_go(RELEASED_MAX)
            reclaim(self.hold.tables, self.words)

    def figures(self) -> dict[str, Any]:
        """What this plane has counted by itself, as plain values; see docs/gateway-data.md."""
        return plane_figures(self)

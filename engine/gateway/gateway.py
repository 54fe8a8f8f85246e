"""A whole gateway on its sockets: engine, data plane, control plane and loop."""

import contextlib
import ipaddress
import json
from dataclasses import dataclass
from typing import IO, Any, Self

from engine import clock, config, subscribers
from engine.clock import RunningDate
from engine.errors import OutputError
from engine.gateway import libc
from engine.gateway.ends import End, bound, check_reach, end_of, open_sgi
from engine.gateway.figures import all_drops
from engine.gateway.inbox import SOCKET_BYTES
from engine.gateway.loop import Loop
from engine.gateway.pgw import Pgw
from engine.gateway.plane import GTP_U_PORT, HOLD_PACKETS, Plane
from engine.pool.store import open_store
from engine.runtime import Engine, store_options
from engine.units import NS_PER_S

SCHEMA = "pktoll.serve/1"


@dataclass(frozen=True, slots=True)
class Options:
    """What a gateway is started with. `start_ns`: its date then; `woken`: a descriptor that signals make
    readable; `peer_port`: the GTP-U port of peers; `offload`: runs of datagrams as one (GSO, GRO)."""

    gtp_c: End
    gtp_u: End
    sgi: str = "echo"
    config: str | None = None
    subscribers: str | None = None
    events: str | None = None
    pool: str | None = None
    gateway: str = "pgw"
    start_ns: int | None = None
    records: str | None = None
    beyond_loopback: bool = False
    peer_port: int = GTP_U_PORT
    hold_packets: int = HOLD_PACKETS
    offload: bool = True
    woken: int = -1


class Gateway:
    """Opens everything; `loop.run()` serves; `close` settles. Raises PktollError and OSError."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._closing: list[Any] = []
        self._records: IO[str] | None = None
        self.records_written = 0
        check_reach(options.gtp_c, "--gtp-c", options.beyond_loopback)
        check_reach(options.gtp_u, "--gtp-u", options.beyond_loopback)
        self.date = RunningDate(clock.now_ns() if options.start_ns is None else options.start_ns)
        settings = config.load(options.config)
        book = subscribers.load_any(options.subscribers, settings) if options.subscribers else None
        scheduled = subscribers.events.load(options.events, book) if options.events else []
        try:
            self._open_ends(settings)
            store = open_store(options.pool, store_options(settings, options.gateway))
            self._open_engine(settings, store)
            if book is not None:
                self.engine.load(book, self.date.now_ns())
            self.engine.schedule(scheduled, known=book is not None)
            self._open_planes(settings)
        except BaseException:
            self._let_go()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Where only an output failed, the books are as good as ever.
        self.close(clean=kind is None or issubclass(kind, OutputError))

    # --- opening ------------------------------------------------------------------------------------

    def _open_ends(self, settings: config.Settings) -> None:
        options = self.options
        self._control_sock = bound(options.gtp_c, "--gtp-c")
        self._closing.append(self._control_sock)
        libc.widen(self._control_sock, SOCKET_BYTES)
        self._user_sock = bound(options.gtp_u, "--gtp-u")
        self._closing.append(self._user_sock)
        if options.records is not None:
            self._records = open(options.records, "a", encoding="utf-8")  # noqa: SIM115
            self._closing.append(self._records)
        self.sgi = open_sgi(
            options.sgi,
            (*settings.access.pool4, *settings.access.pool6),
            beyond_loopback=options.beyond_loopback,
            offload=options.offload,
        )
        self._closing.append(self.sgi.sgi)
        self.gtp_c, self.gtp_u = end_of(self._control_sock), end_of(self._user_sock)

    def _open_engine(self, settings: config.Settings, store: Any) -> None:
        try:
            self.engine = Engine(settings, store, live=True)
        except BaseException:
            store.close(clean=True)
            raise
        self._closing.append(_Abandoned(self.engine))

    def _open_planes(self, settings: config.Settings) -> None:
        options = self.options
        self.plane = Plane(
            self.engine,
            self._user_sock,
            self.sgi.sgi,
            self.date,
            address=self.gtp_u.address,
            peer_port=options.peer_port,
            hold_packets=options.hold_packets,
            offload=options.offload,
        )
        self.plane.bearers.nodes.add(self.gtp_c.address)
        if self.sgi.address is not None:
            self.plane.bearers.nodes.add(self.sgi.address)
        for pool in (*settings.access.pool4, *settings.access.pool6):
            # This gateway's own, and a TUN device's: behind it are all services of the machine.
            self.plane.bearers.nodes.add(str(ipaddress.ip_network(pool)[1]))
        ends = self.gtp_c.address, self.gtp_u.address
        self.pgw = Pgw(
            settings,
            self.engine,
            self.plane,
            *ends,
            self._restarts(),
            own=frozenset((end.address, end.port) for end in (self.gtp_c, self.gtp_u)),
            peer_port=options.peer_port,
        )
        self.loop = Loop(self.plane, self.pgw, self._control_sock, woken=options.woken)
        self.plane.on_error = self.loop.error_indication
        self.loop.every_second(self.write_records)

    def _restarts(self) -> int:
        """This gateway's restart counter (TS 23.007 18), 0..255: the number of its run where the coupon
        database lasts, else a number that is most likely another than the last time."""
        if self.engine.store.lasting:
            return self.engine.store.run_id % 256
        return clock.now_ns() // NS_PER_S % 256

    # --- figures ------------------------------------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        """What control plane and data plane have counted, as plain values; `drops` with the engine's."""
        figures = self.loop.figures()
        return {
            "sessions": len(self.pgw.sessions),
            "gtp_c": dict(self.pgw.counters),
            **figures,
            "drops": all_drops(self.engine.totals()["drops"], figures),
        }

    def report(self) -> dict[str, Any]:
        """The engine's snapshot, and the gateway's own figures; LedgerError."""
        return {"schema": SCHEMA, **self.engine.snapshot(), "gateway": self.figures()}

    def write_records(self, now_ns: int = 0) -> None:
        """Write the usage records of sessions that have ended since the last call (JSON lines)."""
        del now_ns
        taken = self.pgw.take_records()
        if self._records is None or not taken:
            return
        try:
            self._records.writelines(json.dumps(record) + "\n" for record in taken)
            self._records.flush()
        except OSError as error:
            path = self.options.records
            raise OutputError(
                f"--records {path}: {error.strerror}; the ledger is complete"
            ) from None
        self.records_written += len(taken)

    # --- the end ------------------------------------------------------------------------------------

    def close(self, clean: bool = True) -> None:
        """Settle every slice and let go of sockets; LedgerError if the books do not agree."""
        try:
            self.engine.close(clean)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        while self._closing:
            with contextlib.suppress(OSError):  # of a full disk it was said when it was written to
                self._closing.pop().close()


class _Abandoned:
    """An engine whose gateway could not be opened; closed already where it could."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        self._engine.close(clean=True)

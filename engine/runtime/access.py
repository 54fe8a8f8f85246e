"""Sessions of an engine: who may attach, with what; attaching, moving, detaching (rules N, L, O1)."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy.typing as npt

from engine.accounting.sims import SimTable
from engine.errors import AttachError, UsageError
from engine.layout import SIM_ATTACHED, SIM_DETACHED, SIM_IN_SERVICE
from engine.runtime.bookkeeper import Bookkeeper
from engine.runtime.lines import Binding, LineBook, LineState, binding_of
from engine.runtime.population import Population
from engine.runtime.quota import Quota
from engine.runtime.sessions import Sessions, check_binding
from engine.subscribers import Book, Line


class Admitted(NamedTuple):
    """A line that may attach: its code, the addresses that it always has, and whether it may have IPv6.

    `code` is None for a SIM that nobody has entered yet.
    """

    code: str | None
    addresses: tuple[str, ...]
    ipv6: bool


Told = tuple[int, str, str]
"""what happened: the engine's time, ns since 1970; what; the code of the line, for
"charge" and "exhausted" of the contract"""


class Access(ABC):
    """The part of an engine that opens and closes sessions; see `engine.runtime.control`."""

    sims: SimTable
    book: LineBook
    sessions: Sessions
    quota: Quota
    population: Population
    bookkeeper: Bookkeeper
    in_batch: bool
    told: deque[Told] | None

    @property
    @abstractmethod
    def now_ns(self) -> int:
        """The engine's time: the latest packet's or call's; 0 before the first."""
        ...

    @property
    @abstractmethod
    def coupon_ns(self) -> int:
        """The coupon calendar's time, ns."""
        ...

    def flush(self) -> None:
        """Make all that was handed out and used so far durable in the coupon database."""
        self.quota.flush()

    def _flush(self) -> None:
        """The same at the end of a verb; within a batch, the batch's end sees to it."""
        if not self.in_batch:
            self.flush()

    @contextmanager
    def together(self, *, flush: bool = True) -> Iterator[None]:
        """What is asked for inside becomes durable at once, at the end: one fsync for many sessions.

        Without `flush` the caller calls `flush()` later, and lets nothing out before.
        """
        outermost = not self.in_batch
        self.in_batch = True
        try:
            with self.quota.together() if outermost else nullcontext():
                yield
        finally:
            if outermost:
                self.in_batch = False
        if flush:
            self._flush()

    @abstractmethod
    def _advance(self, at_ns: int) -> None:
        """Let the engine's time reach `at_ns`; it never goes back."""
        ...

    # --- who may attach ---------------------------------------------------------------------------

    def admits(
        self,
        *,
        at_ns: int,
        imsi: str | None = None,
        iccid: str | None = None,
        msisdn: str | None = None,
        known_only: bool = True,
    ) -> Admitted:
        """Whether this SIM may attach now, and with what; AttachError where it may not.

        Nothing is changed, but that a line of the contract book becomes known to the engine.
        """
        self._advance(at_ns)
        line = self._look_up(imsi, iccid, msisdn, known_only)
        if line is None:
            return Admitted(None, (), True)
        self._check_in_service(line)
        return Admitted(line.code, line.fixed, line.contract.ipv6)

    def attach(
        self,
        *,
        at_ns: int,
        imsi: str | None = None,
        iccid: str | None = None,
        msisdn: str | None = None,
        contract: str | None = None,
        plan: str | None = None,
        teid_up: int | None = None,
        teid_down: int | None = None,
        address: str | Sequence[str] | None = None,
        gateway: str | None = None,
        peer: str | None = None,
        rat: str | None = None,
        known_only: bool = False,
    ) -> str:
        """Open a session of a SIM, which replaces an open one (N6); the code of its line.

        The SIM is known from a subscriber file, or from the contract book in the coupon database, or new
        (unless `known_only`): then it joins `contract`, or a contract of its own with `plan` (default: the
        default plan). `address`: one or several IPv4 and IPv6 addresses and IPv6 /64 prefixes. `gateway`
        is the outer address to which `teid_up` belongs, `peer` that of `teid_down`; None: any. `rat` is
        the RAT type for usage records (N4). Raises UsageError; AttachError for a SIM that may not attach.
        """
        self._advance(at_ns)
        name = iccid or imsi
        if name is None:
            raise UsageError("attach: give the SIM's imsi or iccid")
        addresses = (address,) if isinstance(address, str) else tuple(address or ())
        given = binding_of(
            addresses, teid_up=teid_up, gateway=gateway, teid_down=teid_down, peer=peer
        )
        check_binding(given, gateway, peer)
        line = self._look_up(imsi, iccid, msisdn, known_only)
        if line is None:
            code, plan = contract or name, plan or self.population.settings.default_plan
            owner = self.book.known_contract(code) or self.population.add_contract(
                code, plan, None, self.now_ns, self.coupon_ns
            )
            line = self.population.add_line(
                owner, Line(code=name, imsi=imsi, iccid=iccid, msisdn=msisdn)
            )
            self.population.enter_newcomers()
        self._check_in_service(line)
        if not line.contract.ipv6 and any(":" in text for text in addresses):
            raise AttachError(
                "no-ipv6",
                f"attach: contract {line.contract.code} has no IPv6 connection option; its sessions are"
                " IPv4 only (O1)",
            )
        line.bound = self.sessions.rebind(line.row, line.bound, given)
        line.address = addresses[0] if addresses else line.address
        line.rat = rat or line.rat
        self.open_session(line.code, at_ns=at_ns)
        return line.code

    def _look_up(
        self, imsi: str | None, iccid: str | None, msisdn: str | None, known_only: bool
    ) -> LineState | None:
        """The SIM's line; the contract book in the database, where it has the line, has the last word.

        AttachError for a card that was replaced, for what the book refuses, and for a stranger where only
        known SIMs may attach.
        """
        self.book.refuse_replaced(iccid, imsi)
        names = (("iccid", iccid), ("imsi", imsi), ("msisdn", msisdn))
        found = self.bookkeeper.admit(names, self.coupon_ns)
        if found is not None:
            account, code, ipv6 = found
            known = self.book.known_contract
            new = tuple(c for c in account.contracts if known(c.code) is None)
            self.population.load(Book(new), self.now_ns, self.coupon_ns)
            entered = self.book.find(code)
            entered.contract.ipv6 = ipv6
            return entered
        line = self.book.known(iccid) or self.book.known(imsi)
        if line is None and known_only:
            raise AttachError("unknown", f"attach: nobody has entered the SIM {iccid or imsi}")
        return line

    def _check_in_service(self, line: LineState) -> None:
        if int(self.sims.rows[line.row]["flags"]) & SIM_IN_SERVICE:
            return
        if self.population.is_over(line):
            raise AttachError("ended", f"attach: line {line.code} or its contract has ended (A4)")
        raise AttachError(
            "suspended", f"attach: line {line.code} is suspended; resume it first (L1)"
        )

    # --- open and close ---------------------------------------------------------------------------

    def open_session(self, line: str, *, at_ns: int) -> None:
        """Open the session of the line with this code, ICCID or IMSI, as its addresses and TEIDs stand."""
        self._advance(at_ns)
        state = self.book.find(line)
        self._check_in_service(state)
        self.population.open(state, self.coupon_ns)
        self._tell("attach", state.code)
        self._flush()

    def bind_bearer(
        self,
        line: str,
        *,
        teid_up: int | None = None,
        gateway: str | None = None,
        teid_down: int | None = None,
        peer: str | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        """Another bearer of a line's session, or another end of one; arguments as of `attach`.

        `addresses`: those of another PDN connection of the same SIM. All of it is the line's until it
        attaches again.
        """
        state = self.book.find(line)
        ends = binding_of(
            tuple(addresses), teid_up=teid_up, gateway=gateway, teid_down=teid_down, peer=peer
        )
        check_binding(ends, gateway, peer)
        state.bound = self.sessions.extend(state.row, state.bound, ends)

    def release_bearer(
        self,
        line: str,
        *,
        teid_up: int | None = None,
        gateway: str | None = None,
        teid_down: int | None = None,
        peer: str | None = None,
        addresses: Sequence[str] = (),
    ) -> None:
        """Take back what `bind_bearer` or `attach` gave; what the line does not have is left alone."""
        state = self.book.find(line)
        named = binding_of(
            tuple(addresses), teid_up=teid_up, gateway=gateway, teid_down=teid_down, peer=peer
        )
        old = Binding(
            tuple(one for one in state.bound.addresses if one in named.addresses),
            tuple(one for one in state.bound.tunnels if one in named.tunnels),
        )
        self.sessions.release_line(state.row, old)
        state.bound = Binding(
            tuple(one for one in state.bound.addresses if one not in old.addresses),
            tuple(one for one in state.bound.tunnels if one not in old.tunnels),
        )

    def detach(self, line: str, *, at_ns: int) -> None:
        """Close the session of the line with this code, ICCID or IMSI; its packets are dropped then.

        Its use is settled, so that another gateway may have the line.
        """
        self._advance(at_ns)
        state = self.book.find(line)
        self._set_flags(state, SIM_DETACHED, SIM_ATTACHED)
        self.quota.close_line(state, self.now_ns)
        self._tell("detach", state.code)
        self._flush()

    def keep_events(self, events_max: int) -> None:
        """From now on keep what happens, the latest `events_max` of it, for `take_events`."""
        self.told = deque(maxlen=events_max)
        self.quota.on_empty = lambda contract: self._tell("exhausted", contract.code)

    def take_events(self) -> list[Told]:
        """What happened since the last call: attach, detach, cut, switch-on, switch-off, suspend, resume,
        replace-sim, charge, exhausted (the contract's database has nothing left)."""
        told = list(self.told or ())
        if self.told is not None:
            self.told.clear()
        return told

    def _tell(self, what: str, code: str) -> None:
        if self.told is not None:
            self.told.append((self.now_ns, what, code))

    def take_cut(self) -> list[str]:
        """Codes of the lines whose session the engine closed by itself since the last call.

        They were suspended, here or elsewhere, or replaced, or have ended, or the database failed and the
        setting is to terminate. A gateway tells the peer.
        """
        cut = list(self.quota.cut)
        self.quota.cut.clear()
        return cut

    def _set_flags(self, line: LineState, set_: int, clear: int) -> int:
        """Change a row's flags; returns what they were."""
        self.population.enter()
        row: npt.NDArray[Any] = self.sims.rows[line.row]
        before = int(row["flags"])
        row["flags"] = before & ~clear | set_
        return before

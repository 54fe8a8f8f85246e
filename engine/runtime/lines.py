"""What the engine knows of each SIM beside its row: names, contract, what was granted to it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from engine.errors import AttachError, UsageError
from engine.layout import DOWNLINK, UPLINK


class Tunnel(NamedTuple):
    """A TEID of a session; `receiver` is the outer address that gave it out, None where any has it."""

    teid: int
    direction: int
    receiver: str | None = None


class Binding(NamedTuple):
    """Where a session's packets are found: inner addresses (IPv6 prefixes with /64), and tunnels."""

    addresses: tuple[str, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()


def binding_of(
    addresses: tuple[str, ...],
    *,
    teid_up: int | None = None,
    gateway: str | None = None,
    teid_down: int | None = None,
    peer: str | None = None,
) -> Binding:
    """A session with one bearer: `gateway` receives what comes up, `peer` what goes down."""
    ends = ((teid_up, UPLINK, gateway), (teid_down, DOWNLINK, peer))
    return Binding(addresses, tuple(Tunnel(t, way, at) for t, way, at in ends if t is not None))


@dataclass(init=False, eq=False)
class LineState:
    """One SIM. `row` is its row in the SIM table; `initial_balance_bytes` was on it at the start.

    Of what it holds, `reserve_bytes` are not in the row yet and `ready_bytes` may go there at once.
    `settled_bytes` of its use were reported before it was opened last; `shown_bytes` is the balance that
    customers are shown (L5), None until there is one; `ends_month` is its last month of service. `fixed`
    are the addresses that the line always has; `rat` is the RAT type of its latest session (N4).
    """

    row: int
    code: str
    contract: "ContractState"
    address: str | None
    bound: Binding
    # What only some have otherwise stands in the class: lines are made by the thousand.
    iccid: str | None = None
    imsi: str | None = None
    msisdn: str | None = None
    fixed: tuple[str, ...] = ()
    rat: str | None = None
    initial_balance_bytes: int = 0
    granted_bytes: int = 0
    grants: int = 0
    requests: int = 0
    reserve_bytes: int = 0
    ready_bytes: int = 0
    settled_bytes: int = 0
    shown_bytes: int | None = None
    closed: bool = False
    ends_month: int | None = None

    def __init__(
        self, row: int, code: str, contract: "ContractState", address: str | None, bound: Binding
    ) -> None:
        self.row = row
        self.code = code
        self.contract = contract
        self.address = address
        self.bound = bound


@dataclass(init=False, eq=False)
class ContractState:
    """One contract: its plan, its lines, and the shard that all of them are in.

    `month` is the one that it is in, `profile` its rates. `ipv6`: its sessions may have an IPv6 prefix
    (O1). `ends_month` is its last month of service, `next_plan` a month and the plan from then on.
    """

    code: str
    shard: int
    started_month: int
    month: int
    plan: str
    profile: int
    bundle_bytes: int
    lines: list[LineState]
    empty: bool = False
    purchases: int = 0
    ends_month: int | None = None
    next_plan: tuple[int, str] | None = None
    ipv6: bool = True

    def __init__(
        self,
        code: str,
        shard: int,
        started_month: int,
        month: int,
        plan: str,
        profile: int,
        bundle_bytes: int,
    ) -> None:
        self.code = code
        self.shard = shard
        self.started_month = started_month
        self.month = month
        self.plan = plan
        self.profile = profile
        self.bundle_bytes = bundle_bytes
        self.lines = []


def nobody(name: str) -> bool:
    """Nobody sleeps who has this name."""
    del name
    return False


class LineBook:
    """Lines by row, code, ICCID and IMSI; contracts by code. In order of arrival, never of a hash."""

    def __init__(self) -> None:
        self.lines: list[LineState] = []
        self.contracts: dict[str, ContractState] = {}
        self._by_name: dict[str, LineState] = {}
        self._refused: dict[str, LineState] = {}
        self.rouse: Callable[[str], bool] = nobody
        """asked for a line that has no such code, ICCID or IMSI here; True if it is here now"""
        self.rouse_contract: Callable[[str], bool] = nobody
        """the same for a contract by its code"""

    def add(self, line: LineState) -> None:
        """Enter a line under every name that it has; UsageError if one is taken."""
        names = [name for name in (line.code, line.iccid, line.imsi) if name is not None]
        for name in names:
            if self.known(name) is not None:
                raise UsageError(f"line {line.code}: {name} is another line's already")
        self._by_name.update((name, line) for name in names)
        self.lines.append(line)
        line.contract.lines.append(line)

    def add_plain(self, lines: list[LineState]) -> None:
        """Enter lines that have no name but their code, of which `known` said that it is nobody's."""
        self._by_name |= {line.code: line for line in lines}
        self.lines += lines
        for line in lines:
            line.contract.lines.append(line)

    def check_card(self, line: LineState, *names: str | None) -> None:
        """UsageError for a card (ICCID, IMSI) that is, or was, somebody's (L2, L3)."""
        for name in names:
            if self.known(name) is not None or name in self._refused:
                raise UsageError(
                    f"line {line.code}: the card {name} is, or was, somebody's already"
                )

    def replace_card(self, line: LineState, iccid: str, imsi: str | None) -> None:
        """The line is on a new card, which was checked; the old one is refused for good (L2, L3).

        `imsi` None: the new card has the old one's.
        """
        for old in (line.iccid, None if imsi is None else line.imsi):
            if old is not None:
                if old != line.code:  # by which a line made without a book goes on to be found
                    del self._by_name[old]
                self._refused[old] = line
        line.iccid = iccid
        line.imsi = imsi or line.imsi
        self._by_name.update((name, line) for name in (iccid, imsi) if name is not None)

    def refuse_replaced(self, *names: str | None) -> None:
        """AttachError for a card that was replaced (L2, L3)."""
        for name in names:
            line = self._refused.get(name or "")
            if line is not None:
                raise AttachError(
                    "replaced",
                    f"attach: the card {name} of line {line.code} was replaced; it stays refused (L2)",
                )

    def find(self, name: str) -> LineState:
        """The line with this code, ICCID or IMSI; UsageError if there is none."""
        line = self.known(name)
        if line is None:
            raise UsageError(f"no line has the code, ICCID or IMSI {name!r}")
        return line

    def known(self, name: str | None) -> LineState | None:
        """The line with this code, ICCID or IMSI, or None; one that slept is awake then."""
        line = self.awake(name)
        if line is None and name is not None and self.rouse(name):
            line = self.awake(name)
        return line

    def awake(self, name: str | None) -> LineState | None:
        """The same, but without waking anybody."""
        return None if name is None else self._by_name.get(name)

    def known_contract(self, code: str) -> ContractState | None:
        """The contract with this code, or None; one whose lines slept is awake then."""
        if code not in self.contracts:
            self.rouse_contract(code)
        return self.contracts.get(code)

    def check_contracts(self, codes: Iterable[str]) -> None:
        """UsageError where a contract has one of these codes."""
        known, rouse = self.contracts, self.rouse_contract
        for code in codes:
            if code in known or rouse(code):
                raise UsageError(f"contract {code} is there already")

    def contract(self, code: str) -> ContractState:
        """The contract with this code; UsageError if there is none."""
        contract = self.known_contract(code)
        if contract is None:
            raise UsageError(f"no contract has the code {code!r}")
        return contract

"""What the engine knows of each SIM beside its row: names, contract, what was granted to it."""

from dataclasses import dataclass, field

from engine.errors import UsageError

Binding = tuple[tuple[str, ...], tuple[int | None, int | None], str | None]
"""addresses, TEIDs (up, down) and gateway of a session"""


@dataclass(slots=True)
class LineState:
    """One SIM. `row` is its row in the SIM table; `initial_balance_bytes` was on it at the start.

    Of what it holds, `reserve_bytes` are not in the row yet and `ready_bytes` may go there at once.
    `settled_bytes` of its use were reported before it was opened last; `shown_bytes` is the balance that
    customers are shown (L5), None until there is one; `ends_month` is its last month of service.
    """

    row: int
    code: str
    contract: "ContractState"
    iccid: str | None = None
    imsi: str | None = None
    msisdn: str | None = None
    address: str | None = None
    bound: Binding = ((), (None, None), None)
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


@dataclass(slots=True)
class ContractState:
    """One contract: its plan, its lines, and the shard that all of them are in.

    `ends_month` is its last month of service, `next_plan` a month and the plan from then on, `month` the
    one that it is in.
    """

    code: str
    plan: str
    profile: int
    shard: int
    bundle_bytes: int
    started_month: int
    empty: bool = False
    purchases: int = 0
    month: int = 0
    ends_month: int | None = None
    next_plan: tuple[int, str] | None = None
    lines: list[LineState] = field(default_factory=list)


class LineBook:
    """Lines by row, code, ICCID and IMSI; contracts by code. In order of arrival, never of a hash."""

    def __init__(self) -> None:
        self.lines: list[LineState] = []
        self.contracts: dict[str, ContractState] = {}
        self._by_name: dict[str, LineState] = {}
        self._refused: dict[str, LineState] = {}

    def add(self, line: LineState) -> None:
        """Enter a line under every name that it has; UsageError if one is taken."""
        names = [name for name in (line.code, line.iccid, line.imsi) if name is not None]
        for name in names:
            if name in self._by_name:
                raise UsageError(f"line {line.code}: {name} is another line's already")
        self._by_name.update((name, line) for name in names)
        self.lines.append(line)
        line.contract.lines.append(line)

    def check_card(self, line: LineState, iccid: str) -> None:
        """UsageError for a card that is, or was, somebody's (L2, L3)."""
        if iccid in self._by_name or iccid in self._refused:
            raise UsageError(f"line {line.code}: the card {iccid} is, or was, somebody's already")

    def replace_card(self, line: LineState, iccid: str) -> None:
        """The line is on a new card, which was checked; the old one is refused for good (L2, L3)."""
        if line.iccid is not None:
            del self._by_name[line.iccid]
            self._refused[line.iccid] = line
        line.iccid = iccid
        self._by_name[iccid] = line

    def refuse_replaced(self, name: str | None) -> None:
        """UsageError for a card that was replaced (L2, L3)."""
        line = self._refused.get(name or "")
        if line is not None:
            raise UsageError(
                f"attach: the card {name} of line {line.code} was replaced; it stays refused (L2)"
            )

    def find(self, name: str) -> LineState:
        """The line with this code, ICCID or IMSI; UsageError if there is none."""
        line = self._by_name.get(name)
        if line is None:
            raise UsageError(f"no line has the code, ICCID or IMSI {name!r}")
        return line

    def known(self, name: str | None) -> LineState | None:
        """The line with this code, ICCID or IMSI, or None."""
        return None if name is None else self._by_name.get(name)

    def contract(self, code: str) -> ContractState:
        """The contract with this code; UsageError if there is none."""
        contract = self.contracts.get(code)
        if contract is None:
            raise UsageError(f"no contract has the code {code!r}")
        return contract

"""What the engine knows of each SIM beside its row: names, contract, what was granted to it."""

from dataclasses import dataclass, field

from engine.errors import UsageError

Binding = tuple[tuple[str, ...], tuple[int | None, int | None], str | None]
"""addresses, TEIDs (up, down) and gateway of a session"""


@dataclass(slots=True)
class LineState:
    """One SIM. `row` is its row in the SIM table; `initial_balance_bytes` was on it at the start."""

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


@dataclass(slots=True)
class ContractState:
    """One contract: its plan, its lines, and the shard that all of them are in."""

    code: str
    plan: str
    profile: int
    shard: int
    bundle_bytes: int
    started_month: int
    lines: list[LineState] = field(default_factory=list)


class LineBook:
    """Lines by row, code, ICCID and IMSI; contracts by code. In order of arrival, never of a hash."""

    def __init__(self) -> None:
        self.lines: list[LineState] = []
        self.contracts: dict[str, ContractState] = {}
        self._by_name: dict[str, LineState] = {}

    def add(self, line: LineState) -> None:
        """Enter a line under every name that it has; UsageError if one is taken."""
        names = [name for name in (line.code, line.iccid, line.imsi) if name is not None]
        for name in names:
            if name in self._by_name:
                raise UsageError(f"line {line.code}: {name} is another line's already")
        self._by_name.update((name, line) for name in names)
        self.lines.append(line)
        line.contract.lines.append(line)

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

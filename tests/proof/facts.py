"""What is known from outside a coupon database: what gateways were answered and let out, its books."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from engine.pool import CouponBalance, CouponStore, SliceState

Say = Callable[["Fact"], None]


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a gateway saw happen. An answer counts once the database said that it is durable.

    what: asked, granted | credit-asked, credit | buy-asked, buy | opened, marked, let-out, settled;
        by whoever drives the gateways: broken-off (a line open in a run that broke off), uncertain,
        over (what a coupon had granted when it had expired)
    amount: bytes; for marked and settled the use reported, for uncertain the increase, for buy coupons
    mark: for marked the watermark, for buy the month
    """

    what: str
    gateway: str = ""
    run: int = 0
    contract: str = ""
    line: str = ""
    request: str = ""
    slice_id: int = 0
    amount: int = 0
    mark: int = 0
    at_ns: int = 0

    def as_line(self) -> str:
        """One JSON line, without what is as ever."""
        return json.dumps({k: v for k, v in asdict(self).items() if v or k == "what"}) + "\n"


def read_facts(path: Path) -> list[Fact]:
    """A worker's log; a last line that kill -9 cut short was never said."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [Fact(**json.loads(row)) for row in text.split("\n")[:-1]]


@dataclass
class Books:
    """The database's own account, through the calls that anybody may make."""

    coupons: dict[str, list[CouponBalance]]
    slices: dict[str, list[SliceState]]
    contract_of: dict[str, str]
    audit: list[str]


def read_books(store: CouponStore, lines: Iterable[str]) -> Books:
    """All coupons, and all slices of `lines` and of the lines that the database knows."""
    contracts = {balance.code: store.coupons(balance.code) for balance in store.contracts()}
    contract_of = {line.code: line.contract for line in store.lines()}
    names = sorted(set(lines) | set(contract_of))
    return Books(contracts, {n: store.slices(n) for n in names}, contract_of, store.audit())


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold: the check that says so, and the words."""

    check: str
    text: str


@dataclass
class Figures:
    """What the dashboard prints; added up over all runs."""

    grants_checked: int = 0
    repeated_requests: int = 0
    crashes: int = 0
    kills: int = 0
    grants_lost: int = 0
    bytes_twice: int = 0
    conservation_error_bytes: int = 0
    uncertain_max_bytes: int = 0
    uncertain_bound_bytes: int = 0
    audits: int = 0
    audits_clean: int = 0
    simulated_s: int = 0
    faults: dict[str, int] = field(default_factory=dict)

    def fault(self, name: str, times: int = 1) -> None:
        """Count a fault that was injected."""
        self.faults[name] = self.faults.get(name, 0) + times

    def add(self, other: "Figures") -> None:
        """Sum up, the uncertain figures by their largest."""
        for entry in fields(self):
            if entry.name == "faults":
                for name, times in other.faults.items():
                    self.fault(name, times)
                continue
            mine, theirs = getattr(self, entry.name), getattr(other, entry.name)
            total = max(mine, theirs) if entry.name.startswith("uncertain") else mine + theirs
            setattr(self, entry.name, total)

"""Between SIM rows and coupon database: asks for slices, marks empty contracts, settles at the end."""

from engine.accounting.sims import SimTable
from engine.errors import LedgerError
from engine.layout import SIM_ATTACHED, SIM_COUPON_ON, SIM_DETACHED, SIM_EMPTY
from engine.pool.store import CouponStore
from engine.runtime.lines import ContractState, LineState


class Quota:
    """Grants for the rows of a SIM table. `calendar_ns` of the calls is the coupon calendar's time."""

    def __init__(self, store: CouponStore, sims: SimTable, first_slice: str) -> None:
        self.store = store
        self._sims = sims
        self._at_attach = first_slice == "attach"
        self._open_group = False
        self.grants = 0
        self.granted_bytes = 0

    def _begin(self) -> None:
        if not self._open_group:
            self.store.begin()
            self._open_group = True

    def commit(self) -> None:
        """Make every slice handed out so far durable; before it no verdict is released (D9)."""
        if self._open_group:
            self.store.commit()
            self._open_group = False

    def open_line(self, line: LineState, balance_bytes: int) -> int:
        """Enter a line in the database; returns the balance that its SIM starts with (D6, I8)."""
        self._begin()
        return self.store.open_line(line.contract.code, line.code, balance_bytes)

    def credit(
        self, credit_id: str, contract: ContractState, kind: str, bytes_: int, ns: tuple[int, int]
    ) -> None:
        """Credit a coupon at ns[0] that is good until ns[1]; once for an id, however often asked."""
        self._begin()
        if bytes_ > 0:
            self.store.credit(credit_id, contract.code, kind, bytes_, *ns)
        self.wake(contract)

    def expire(self, calendar_ns: int) -> None:
        """Book coupons as expired (C6)."""
        self._begin()
        self.store.expire(calendar_ns)

    def wake(self, contract: ContractState) -> None:
        """Forget that a contract was empty: after a charge, a switch or a month's end."""
        for line in contract.lines:
            row = self._sims.rows[line.row]
            row["flags"] = int(row["flags"]) & ~SIM_EMPTY

    def attach(self, line: LineState, calendar_ns: int) -> None:
        """Open the session of a line that is in service; it gets its first slice at once if the setting
        says so (D1, D8)."""
        row = self._sims.rows[line.row]
        flags = int(row["flags"]) & ~SIM_DETACHED | SIM_ATTACHED
        row["flags"] = flags
        may = flags & (SIM_COUPON_ON | SIM_EMPTY) == SIM_COUPON_ON
        if self._at_attach and may and int(row["balance_bytes"]) == 0:
            self.grant(line, calendar_ns)

    def grant(self, line: LineState, calendar_ns: int) -> None:
        """Ask for the next slice; with nothing left all lines of the contract are marked empty (D5)."""
        self._begin()
        line.requests += 1
        request_id = f"{self.store.run_id}:{line.code}:{line.requests}"
        grant = self.store.grant(request_id, line.contract.code, line.code, calendar_ns)
        if grant.granted_bytes == 0:
            for other in line.contract.lines:
                row = self._sims.rows[other.row]
                row["flags"] = int(row["flags"]) | SIM_EMPTY
            return
        self._sims.rows[line.row]["balance_bytes"] += grant.granted_bytes
        line.granted_bytes += grant.granted_bytes
        line.grants += 1
        self.granted_bytes += grant.granted_bytes
        self.grants += 1

    def settle(self, used_bytes: dict[str, int]) -> None:
        """Report what each line used, for good; LedgerError if the books do not agree afterwards."""
        self._begin()
        for line, used in used_bytes.items():
            self.store.settle(line, used, True)
        self.commit()
        faults = self.store.audit()
        if faults:
            raise LedgerError(f"coupon database: {faults[0]}" + _more(len(faults) - 1))


def _more(count: int) -> str:
    return f" (and {count} more)" if count else ""

"""Lines of a subscriber table, which sleep until something names them.

A sleeping line costs its place in the indexes, and nothing else: no SIM row, no objects, no entry in the
coupon database. When a packet, a verb or a session names one, its whole contract wakes, because lines share
coupons: it is entered as of the time at which the table was loaded, and what months have brought since
happens to it then, so that its figures are those of a contract that was never asleep.
"""

from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.calendar import month_start_ns
from engine.layout import ANY_ENDPOINT
from engine.runtime.lines import Binding, ContractState, LineState
from engine.runtime.quota import Quota
from engine.runtime.sessions import Sessions
from engine.subscribers import Contract
from engine.subscribers.table import SubscriberTable
from engine.subscribers.table_index import claims_of, find_line
from engine.subscribers.table_keys import BY_IPV4, BY_PREFIX
from engine.wire.addresses import parse_address
from engine.words import CONTROL_BOUND, CONTROL_SLEEPERS

if TYPE_CHECKING:
    from engine.runtime.months import Months
    from engine.runtime.population import Population

Rows = npt.NDArray[Any]

_LOW = 0xFFFFFFFF
CLAIMS_FIRST = 16
"""room for the claims to a TEID; there are more where many gateways give out the same"""


class Sleepers:
    """Who of a table is asleep, and how contracts wake; counts the lines left in CONTROL_SLEEPERS.

    `began`: the engine's and the coupon calendar's time at which the table was loaded. Contracts that woke
    stand in the population at once, and in the coupon database after `enter`.
    """

    def __init__(
        self,
        table: SubscriberTable,
        population: "Population",
        sessions: Sessions,
        quota: Quota,
        months: "Months",
        began: tuple[int, int],
    ) -> None:
        self._table, self._population, self._quota, self._months = table, population, quota, months
        self._control = sessions.control
        self._began = began
        self._awake = np.zeros(len(table.lines), dtype=np.uint8)
        self._called: set[int] = set()
        """contracts without lines that were asked for"""
        self._placed: list[tuple[LineState, int]] = []
        self._woken: list[ContractState] = []
        self._passed: list[tuple[int, int]] = []
        self._busy = False
        self._begun: dict[date, Contract] = {}
        intern = sessions.endpoints.intern
        known = [intern(*parse_address(gateway)) for gateway in table.gateways]
        receivers = np.array([ANY_ENDPOINT, *known], dtype=np.int64)
        self._control[CONTROL_SLEEPERS] = len(table.lines)
        self._control[CONTROL_BOUND] += 1  # so that addresses are looked up at all
        sessions.nets = (
            sessions.prefixes,
            *table.indexes,
            table.lines,
            self._awake,
            receivers,
            sessions.newcomers,
        )
        sessions.on_claim = self._claim
        population.book.rouse, population.book.rouse_contract = self._rouse, self._rouse_contract

    @property
    def left(self) -> int:
        """How many lines sleep."""
        return int(self._control[CONTROL_SLEEPERS])

    @property
    def woken(self) -> bool:
        """Whether anybody woke who is not entered yet."""
        return bool(self._woken)

    # --- waking ---------------------------------------------------------------------------------------

    def wake(self, line: int) -> None:
        """A line has its first packet: its contract is awake now, but not entered yet."""
        self._wake(int(self._table.lines[line]["contract"]))

    def _wake(self, contract: int) -> bool:
        """False for a contract that is awake already."""
        record = self._table.contracts[contract]
        first, count = int(record["first_line"]), int(record["lines"])
        if contract in self._called or (count and self._awake[first]):
            return False
        if not count:
            self._called.add(contract)
        self._awake[first : first + count] = 1
        self._control[CONTROL_SLEEPERS] -= count
        given = self._table.contract(contract)
        self._busy = True
        self._placed += self._population.place(given, *self._began)
        self._busy = False
        self._woken.append(self._population.book.contracts[given.code])
        # Of what was given, months look at the day of the start only: one will do for all.
        begun = Contract(code="", plan=given.plan, started=given.started)
        self._population.given[given.code] = self._begun.setdefault(given.started, begun)
        return True

    def enter(self) -> None:
        """Enter the contracts that woke in the coupon database, and let happen what did not meanwhile."""
        if not self._woken:
            return
        placed, woken = self._placed, self._woken
        self._placed, self._woken = [], []
        self._population.enter_placed(placed)
        for month, now_ns in self._passed:
            due = [self._months.turn_contract(one, month, now_ns) for one in woken]
            self._quota.credit([credit for credits in due for credit in credits])
        last_ns = month_start_ns(self._passed[-1][0]) if self._passed else self._began[1]
        self._quota.expire(last_ns)

    def pass_month(self, month: int, now_ns: int) -> None:
        """A month has begun, for those who sleep, too."""
        self._passed.append((month, now_ns))

    # --- who is named ---------------------------------------------------------------------------------

    def _rouse(self, name: str) -> bool:
        """Wake the line with this code, IMSI or ICCID."""
        line = -1 if self._busy else self._table.find_line(name)
        return line >= 0 and self._rouse_number(int(self._table.lines[line]["contract"]))

    def _rouse_contract(self, code: str) -> bool:
        contract = -1 if self._busy else self._table.find_contract(code)
        return contract >= 0 and self._rouse_number(contract)

    def _rouse_number(self, contract: int) -> bool:
        roused = self._wake(contract)
        if roused:
            self._population.enter()
        return roused

    def _claim(self, binding: Binding) -> None:
        """Somebody is given what sleeping lines have, or it is taken from somebody: they have it first, as
        if they had never slept."""
        if self._busy or not self.left:
            return
        lines = [self.line_at(text) for text in binding.addresses]
        for tunnel in binding.tunnels:
            lines += self._with_teid(tunnel.teid)
        for line in lines:
            if line >= 0:
                self._rouse_number(int(self._table.lines[line]["contract"]))

    def line_at(self, text: str) -> int:
        """The line with this address, or with the /64 that it is, or is in; -1 without."""
        hi, lo = parse_address(text.removesuffix("/64"))
        indexes = self._table.indexes
        if ":" in text:
            return int(find_line(self._table.lines, BY_PREFIX, indexes.prefixes, hi, 0))
        return int(find_line(self._table.lines, BY_IPV4, indexes.ipv4, lo & _LOW, 0))

    def _with_teid(self, teid: int) -> list[int]:
        out = np.zeros(CLAIMS_FIRST, dtype=np.int64)
        count = int(claims_of(self._table.indexes.teids, teid, out))
        if count > len(out):
            out = np.zeros(count, dtype=np.int64)
            claims_of(self._table.indexes.teids, teid, out)
        return [int(claim) >> 1 for claim in out[:count]]

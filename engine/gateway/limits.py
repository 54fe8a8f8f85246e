"""How much of something may be had in a second, exactly; by one, or by each of many peers."""

from collections import OrderedDict

from engine.units import NS_PER_S

PEERS_MAX = 4_096
"""peers whose use is remembered; the one that was heard of longest ago is forgotten first"""


class Budget:
    """So many a second, and as many at once. Credit is counted in uses times ns, without rounding."""

    def __init__(self, per_s: int, now_ns: int) -> None:
        self._per_s = per_s
        self._credit = per_s * NS_PER_S
        self._last_ns = now_ns

    def left(self, now_ns: int) -> bool:
        """Whether one may be used now."""
        elapsed_ns = max(0, now_ns - self._last_ns)
        self._last_ns += elapsed_ns
        self._credit = min(self._per_s * NS_PER_S, self._credit + elapsed_ns * self._per_s)
        return self._credit >= NS_PER_S

    def take(self, now_ns: int) -> bool:
        """Use one; False where none is left now."""
        may = self.left(now_ns)
        self._credit -= NS_PER_S * may
        return may


class PeerBudgets:
    """A budget for each outer address; bounded, so that made-up ones cost no more memory than others."""

    def __init__(self, per_s: int, peers_max: int = PEERS_MAX) -> None:
        self._per_s, self._peers_max = per_s, peers_max
        self._budgets: OrderedDict[str, Budget] = OrderedDict()

    def __len__(self) -> int:
        return len(self._budgets)

    def left(self, address: str, now_ns: int) -> bool:
        """Whether the peer may use one now."""
        budget = self._budgets.get(address)
        return budget is None or budget.left(now_ns)

    def take(self, address: str, now_ns: int) -> bool:
        """Use one of the peer's; False where none is left now."""
        budget = self._budgets.get(address)
        if budget is None:
            budget = self._budgets[address] = Budget(self._per_s, now_ns)
            if len(self._budgets) > self._peers_max:
                self._budgets.popitem(last=False)
        self._budgets.move_to_end(address)
        return budget.take(now_ns)

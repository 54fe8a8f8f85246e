"""What SIMs hold and what they have used of it, from their rows and from what is kept behind these."""

from collections.abc import Sequence

import numpy as np

from engine.accounting.sims import SimTable
from engine.runtime.lines import LineState


class Balances:
    """The part of a quota that knows balances. `_step_bytes`: what goes into a row at a time; 0: all."""

    _sims: SimTable
    _step_bytes: int

    def held_bytes(self, line: LineState) -> int:
        """byte; the balance on a SIM, exactly."""
        balance = int(self._sims.rows[line.row]["balance_bytes"])
        return balance + line.reserve_bytes + line.ready_bytes

    def held_all(self, lines: Sequence[LineState]) -> list[int]:
        """byte; `held_bytes` of each line."""
        rows = np.fromiter((line.row for line in lines), np.int64, len(lines))
        balances: list[int] = self._sims.rows["balance_bytes"][rows].tolist()
        if not self._step_bytes:  # all of it is in the rows
            return balances
        return [
            balance + line.reserve_bytes + line.ready_bytes
            for line, balance in zip(lines, balances, strict=True)
        ]

    def used_bytes(self, line: LineState) -> int:
        """byte; what the store does not know otherwise: use since the line counts from 0 there (I5)."""
        return self._used(line, self.held_bytes(line))

    @staticmethod
    def _used(line: LineState, held_bytes: int) -> int:
        given = line.initial_balance_bytes + line.granted_bytes
        return given - max(0, held_bytes) - line.settled_bytes

    def lent_bytes(self, line: LineState) -> int:
        """byte; let out at high speed without a slice, by the operator's setting (live gateways)."""
        return 0

    def _hold(self, line: LineState, more_bytes: int) -> None:
        if self._step_bytes:
            line.reserve_bytes += more_bytes
        else:
            self._sims.rows[line.row]["balance_bytes"] += more_bytes

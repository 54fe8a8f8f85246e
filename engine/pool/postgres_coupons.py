"""Coupons on PostgreSQL: credited, bought, expired, and those of a contract that ends."""

from engine import calendar
from engine.errors import PoolError, RefusedError
from engine.pool import postgres_statements as sql
from engine.pool.bounds import checked_bytes, checked_text, checked_time
from engine.pool.postgres_credits import Credits
from engine.pool.store import (
    REQUEST_CHARACTERS_MAX,
    TOPUP_BYTES,
    TOPUPS_A_MONTH,
    ContractBalance,
    CouponBalance,
    Purchase,
)


class Coupons(Credits):
    """The part of the store that knows coupons."""

    def buy(self, request_id: str, contract: str, coupons: int, at_ns: int) -> bool:
        """Buy additional coupons once (C3, C4). See `CouponStore.buy`.

        A repeated request is known by its id, contract and number: its time may be later. After a lost
        connection True may also mean that the request had been done before.
        """
        checked_text("request", request_id, REQUEST_CHARACTERS_MAX)
        checked_text("contract", contract)
        if coupons < 1:
            raise PoolError(f"request {request_id}: {coupons} coupons; buy at least 1")
        at_ns = checked_time("at_ns", at_ns)
        month = calendar.month_of(at_ns)
        said: dict[str, object] = {
            "request": request_id,
            "contract": contract,
            "coupons": int(coupons),
            "month": month,
            "from_ns": at_ns,
            "until_ns": checked_time("expires_ns", calendar.topup_expires_ns(month)),
            "bytes": TOPUP_BYTES,
        }
        return self.call(lambda again: self._buy(said) or again, exact=False)

    def _buy(self, said: dict[str, object]) -> bool:
        with self.db.transaction():
            self.prove()
            rows = self.db.run(sql.LOCK_CONTRACT, said)
            known = self.db.run(sql.FIND_PURCHASE, said)
            if known:
                if known[0] != (said["contract"], said["coupons"]):
                    raise PoolError(
                        f"request {said['request']}: bought {known[0][1]} coupons for contract"
                        f" {known[0][0]}, now asked for {said['coupons']} for contract {said['contract']}"
                    )
                return False
            if not rows:
                raise PoolError(
                    f"contract {said['contract']}: the coupon database does not know it"
                )
            row = said | {"contract_id": rows[0][0], "run": self.run_id}
            self._check_purchase(row, rows[0][1])
            self.db.run(sql.BUY, row)
            self.tell([{"kind": "credit", "contract": said["contract"]}])
        return True

    def _check_purchase(self, row: dict[str, object], closed_ns: int | None) -> None:
        """RefusedError where the contract may not buy that many more in the month (C3)."""
        contract, coupons = row["contract"], int(str(row["coupons"]))
        if closed_ns is not None:
            raise RefusedError(f"contract {contract}: has ended, and buys no coupons any more (A4)")
        found = self.db.run(sql.BOUGHT, row)
        bought = found[0][0] if found else 0
        if bought + coupons > TOPUPS_A_MONTH:
            month = calendar.month_text(int(str(row["month"])))
            raise RefusedError(
                f"contract {contract}: {coupons} additional coupons refused, a contract buys at most"
                f" {TOPUPS_A_MONTH} a month; {bought} were bought in {month} (C3)"
            )
        total = self.db.run(sql.CREDITED, row)[0][0] + coupons * TOPUP_BYTES
        checked_bytes(f"purchase: contract {contract} would have", total)

    def purchases(self, contract: str, since_ns: int) -> list[Purchase]:
        """Purchases at `since_ns` or later, newest first (Q1)."""
        said = {
            "contract": checked_text("contract", contract),
            "since_ns": checked_time("since_ns", since_ns),
            "bytes": TOPUP_BYTES,
        }
        rows = self.read(lambda again: self.db.run(sql.PURCHASES, said))
        return [Purchase(*row) for row in rows]

    def close_contract(self, contract: str, at_ns: int) -> int:
        """End a contract (A4, A6); bytes that expired with it. See `CouponStore.close_contract`."""
        said: dict[str, object] = {
            "contract": checked_text("contract", contract),
            "now_ns": checked_time("at_ns", at_ns),
        }
        return self.call(lambda again: self._close_contract(said), exact=False)

    def _close_contract(self, said: dict[str, object]) -> int:
        with self.db.transaction():
            self.prove()
            rows = self.db.run(sql.LOCK_CONTRACT, said)
            if not rows:
                raise PoolError(
                    f"contract {said['contract']}: the coupon database does not know it"
                )
            if rows[0][1] is not None:
                return 0
            row = said | {"contract_id": rows[0][0], "run": self.run_id}
            left = self.db.run(sql.CLOSE_CONTRACT, row)[0][0]
            self.db.run(sql.END_CONTRACT, row)
        return int(left)

    def expire(self, now_ns: int) -> int:
        """Book coupons whose end has come (C6, I7); returns the bytes that were left of them.

        A thousand contracts at a time, each in a transaction of its own where no group is open: what is
        booked is right by itself, and others need not wait for all.
        """
        now_ns = checked_time("now_ns", now_ns)
        self.now_ns = max(self.now_ns, now_ns)
        total = 0
        while True:
            some, done = self.call(lambda again: self._expire_some(now_ns), exact=False)
            total += some
            if done:
                return total

    def _expire_some(self, now_ns: int) -> tuple[int, bool]:
        """(bytes that were left, whether no coupon is due any more)."""
        with self.db.transaction():
            self.prove()
            said: dict[str, object] = {"now_ns": now_ns, "run": self.run_id}
            due = [row[0] for row in self.db.run(sql.DUE_CONTRACTS, said)]
            if not due:
                return 0, True
            return self.db.run(sql.EXPIRE, said | {"contract_ids": due})[0][0], False

    def contracts(self) -> list[ContractBalance]:
        """Every contract with its coupons summed up, in the order of the codes."""
        rows = self.read(lambda again: self.db.run(sql.CONTRACTS, patient=True))
        return [ContractBalance(*row) for row in rows]

    def coupons(self, contract: str) -> list[CouponBalance]:
        """The contract's coupons in the order of use (C5, Q2)."""
        said = {"contract": checked_text("contract", contract)}
        rows = self.read(lambda again: self.db.run(sql.COUPONS, said))
        return [CouponBalance(*row) for row in rows]

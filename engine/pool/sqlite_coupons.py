"""Coupons on SQLite: credited, bought, expired, and those of a contract that ends."""

from collections.abc import Iterable, Sequence

from engine import calendar
from engine.errors import PoolError, RefusedError
from engine.pool import sqlite_journal as journal
from engine.pool import sqlite_statements as sql
from engine.pool.bounds import (
    BOUGHT,
    checked_bytes,
    checked_credits,
    checked_text,
    checked_time,
)
from engine.pool.sqlite import Row, texts
from engine.pool.sqlite_session import Session
from engine.pool.store import (
    REQUEST_CHARACTERS_MAX,
    TOPUP,
    TOPUP_BYTES,
    TOPUPS_A_MONTH,
    ContractBalance,
    CouponBalance,
    Credit,
    Purchase,
)


class Coupons(Session):
    """The part of the store that knows coupons."""

    def credit(
        self,
        credit_id: str,
        contract: str,
        kind: str,
        credited_bytes: int,
        credited_ns: int,
        expires_ns: int,
    ) -> bool:
        """Add a coupon once (C1-C5); False when it was there. See `CouponStore.credit`."""
        asked = Credit(credit_id, contract, kind, credited_bytes, credited_ns, expires_ns)
        return self._credit([asked]) > 0

    def credit_all(self, credits: Sequence[Credit]) -> None:
        """Add many coupons, each once. See `CouponStore.credit_all`."""
        self._credit(credits)

    def _credit(self, credits: Sequence[Credit]) -> int:
        """Add those coupons that are new, of contracts that have not ended; returns their number."""
        asked = {credit[0]: credit for credit in checked_credits(credits)}
        codes = {credit[1]: None for credit in asked.values()}
        with self.atomic:
            if self.fresh.has_coupons(asked, codes):
                self.fresh.put_down()
            new = list(asked.values())
            alone = self.fresh.alone
            known = {} if alone else self._known_credits(asked)
            if known:
                new = self._unknown(asked, known)
                codes = {credit[1]: None for credit in new}
            alone = alone and self.fresh.contracts.keys().isdisjoint(codes)
            rows = [] if alone else self.db.look(sql.CONTRACT_SUMS, texts(codes))
            if rows or len(codes) < len(new):
                new = self._within_bounds(new, {row[0]: row[1:] for row in rows})
            self._add_coupons(new, {row[0]: row[1] for row in rows})
        return len(new)

    def _known_credits(self, names: Iterable[str]) -> dict[str, Row]:
        """Coupons of these names that are in their table."""
        return {row[0]: row for row in self.db.look(sql.FIND_CREDITS, texts(names))}

    def _unknown(self, asked: dict[str, Credit], known: dict[str, Row]) -> list[Credit]:
        """Those that are not known; PoolError where one is, with other figures."""
        for credit_id, credit in known.items():
            if credit != asked[credit_id]:
                raise PoolError(
                    f"{self.db.where}: credit {credit_id}: known already with other figures; use the"
                    " subscriber file that filled this database, or another database"
                )
        return [credit for credit_id, credit in asked.items() if credit_id not in known]

    def _within_bounds(
        self, new: list[Credit], contracts: dict[str, tuple[int, int | None, int]]
    ) -> list[Credit]:
        """Those of contracts that go on; PoolError where one's credits leave the bounds together (B80)."""
        sums = {code: total for code, (_, _, total) in contracts.items()}
        kept = []
        for credit in new:
            code = credit.contract
            if code in contracts and contracts[code][1] is not None:
                continue
            sums[code] = sums.get(code, 0) + credit.credited_bytes
            checked_bytes(f"credit {credit.credit_id}: contract {code} would have", sums[code])
            kept.append(credit)
        return kept

    def _add_coupons(self, new: list[Credit], contract_ids: dict[str, int]) -> None:
        """Coupons and their entries, and contracts that are new, in a few statements."""
        self.add_contracts(contract_ids, (credit[1] for credit in new))
        ids = self.fresh.add_coupons(new, contract_ids)
        self.journal.add(journal.credit_entries(self.run_id, ids, new))

    def _contract(self, contract: str) -> tuple[int, int | None] | None:
        """(key, when it ended or None) of a contract, or None for one that is not known."""
        rows = self.db.run(sql.FIND_CONTRACT, contract)
        return (rows[0][0], rows[0][1]) if rows else None

    def _check_sum(self, what: str, contract: str, contract_id: int, amount: int) -> None:
        """PoolError where the contract's credits would leave the bounds together (B80)."""
        total = self.db.value(sql.CREDITED, contract_id) + amount
        checked_bytes(f"{what}: contract {contract} would have", total)

    def _add_coupon(
        self,
        credit_id: str,
        owner: tuple[int, str],
        kind: str,
        amount: int,
        good: tuple[int, int],
        purchase_id: int | None = None,
    ) -> None:
        """One coupon and its entry. `owner`: key and code of the contract."""
        contract_id, contract = owner
        row = (None, credit_id, contract_id, kind, *good, amount, amount, 0, purchase_id)
        (coupon_id,) = self.db.insert(sql.ADD_COUPONS, [row])
        detail = journal.credit_detail(kind, good[1], credit_id)
        self.journal.write(
            journal.CREDIT, contract, amount, good[0], coupon_id=coupon_id, detail=detail
        )

    def buy(self, request_id: str, contract: str, coupons: int, at_ns: int) -> bool:
        """Buy additional coupons once (C3, C4). See `CouponStore.buy`.

        A repeated request is known by its id, contract and number: its time may be later.
        """
        checked_text("request", request_id, REQUEST_CHARACTERS_MAX)
        checked_text("contract", contract)
        if coupons < 1:
            raise PoolError(f"request {request_id}: {coupons} coupons; buy at least 1")
        at_ns = checked_time("at_ns", at_ns)
        month = calendar.month_of(at_ns)
        until_ns = checked_time("expires_ns", calendar.topup_expires_ns(month))
        with self.atomic:
            known = self.db.run(sql.FIND_PURCHASE, request_id)
            if known:
                if known[0] != (contract, coupons):
                    raise PoolError(
                        f"request {request_id}: bought {known[0][1]} coupons for contract {known[0][0]},"
                        f" now asked for {coupons} for contract {contract}"
                    )
                return False
            contract_id = self._check_purchase(contract, month, coupons)
            self.db.run(sql.ADD_TO_MONTH, contract_id, month, coupons)
            times = (at_ns, until_ns)
            self.db.run(sql.ADD_PURCHASE, request_id, contract_id, month, coupons, *times)
            purchase_id = self.db.last_id()
            for number in range(1, coupons + 1):
                name = f"{BOUGHT}{request_id}:{number}"
                owner = (contract_id, contract)
                self._add_coupon(name, owner, TOPUP, TOPUP_BYTES, times, purchase_id)
        return True

    def _check_purchase(self, contract: str, month: int, coupons: int) -> int:
        """The contract's key, if it may buy that many more in the month (C3)."""
        contract_id, closed_ns = self._contract(contract) or (None, None)
        if contract_id is None:
            raise PoolError(f"contract {contract}: the coupon database does not know it")
        if closed_ns is not None:
            raise RefusedError(f"contract {contract}: has ended, and buys no coupons any more (A4)")
        bought = self.db.value(sql.BOUGHT_IN_MONTH, contract_id, month) or 0
        if bought + coupons > TOPUPS_A_MONTH:
            raise RefusedError(
                f"contract {contract}: {coupons} additional coupons refused, a contract buys at most"
                f" {TOPUPS_A_MONTH} a month; {bought} were bought in {calendar.month_text(month)} (C3)"
            )
        self._check_sum("purchase", contract, contract_id, coupons * TOPUP_BYTES)
        return contract_id

    def purchases(self, contract: str, since_ns: int) -> list[Purchase]:
        """Purchases at `since_ns` or later, newest first (Q1)."""
        rows = self.db.run(
            sql.PURCHASES, checked_text("contract", contract), checked_time("since_ns", since_ns)
        )
        return [
            Purchase(request, bought_ns, coupons, coupons * TOPUP_BYTES, expires_ns)
            for request, bought_ns, coupons, expires_ns in rows
        ]

    def close_contract(self, contract: str, at_ns: int) -> int:
        """End a contract (A4, A6); bytes that expired with it. See `CouponStore.close_contract`."""
        checked_text("contract", contract)
        at_ns = checked_time("at_ns", at_ns)
        with self.atomic:
            contract_id, closed_ns = self._contract(contract) or (None, None)
            if contract_id is None:
                raise PoolError(f"contract {contract}: the coupon database does not know it")
            if closed_ns is not None:
                return 0
            rows = self.db.run(sql.LEFT_OF_CONTRACT, contract_id)
            for coupon_id, left in rows:
                self.db.run(sql.EXPIRE, coupon_id)
                self.journal.write(journal.CLOSE, contract, left, at_ns, coupon_id=coupon_id)
            self.db.run(sql.CLOSE_CONTRACT, at_ns, contract_id)
            self.journal.write(journal.CLOSE, contract, 0, at_ns)
        return sum(left for _, left in rows)

    def expire(self, now_ns: int) -> int:
        """Book coupons whose end has come (C6, I7); returns the bytes that were left of them."""
        now_ns = checked_time("now_ns", now_ns)
        with self.atomic:
            rows = self.db.run(sql.EXPIRED, now_ns)
            for coupon_id, left, contract in rows:
                self.db.run(sql.EXPIRE, coupon_id)
                self.journal.write(journal.EXPIRE, contract, left, now_ns, coupon_id=coupon_id)
            self.journal.now_ns = max(self.journal.now_ns, now_ns)
        return sum(left for _, left, _ in rows)

    def contracts(self) -> list[ContractBalance]:
        """Every contract with its coupons summed up, in the order of the codes."""
        if self.db.in_transaction and self.fresh.alone:
            return self.fresh.balances()
        return [ContractBalance(*row) for row in self.db.run(sql.CONTRACTS)]

    def coupons(self, contract: str) -> list[CouponBalance]:
        """The contract's coupons in the order of use (C5, Q2)."""
        rows = self.db.run(sql.COUPONS, checked_text("contract", contract))
        return [CouponBalance(*row) for row in rows]

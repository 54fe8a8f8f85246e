"""Credits on PostgreSQL: coupons added, each once, many in a few statements; and the news of them."""

import json
from collections.abc import Sequence

from engine.errors import PoolError
from engine.pool import postgres_statements as sql
from engine.pool.bounds import checked_bytes, checked_credit
from engine.pool.postgres import CHANNEL
from engine.pool.postgres_session import LINES_AT_ONCE, Session
from engine.pool.store import Credit

NEWS_MAX = 1_000
"""news of one call; of more than that, others are told to look at everything"""
_TELL = "SELECT pg_catalog.pg_notify(%(channel)s, news) FROM unnest(%(news)s::text[]) AS said(news)"


class Credits(Session):
    """The part of the store that adds coupons."""

    def tell(self, news: Sequence[dict[str, object]]) -> None:
        """Tell the other gateways, once the transaction is committed."""
        if self.listening and news:
            said = news if len(news) <= NEWS_MAX else [{"kind": "all"}]
            texts = [json.dumps(each) for each in said]
            self.db.run(_TELL, {"channel": CHANNEL, "news": texts})

    def credit(
        self,
        credit_id: str,
        contract: str,
        kind: str,
        credited_bytes: int,
        credited_ns: int,
        expires_ns: int,
    ) -> bool:
        """Add a coupon once (C1-C5); False when it was there. See `CouponStore.credit`.

        A contract that ended gets no more coupons: False as well. After a lost connection False may
        also mean that this very call had added it.
        """
        asked = Credit(credit_id, contract, kind, credited_bytes, credited_ns, expires_ns)
        return self._credit([asked]) > 0

    def credit_all(self, credits: Sequence[Credit]) -> None:
        """Add many coupons, each once. See `CouponStore.credit_all`."""
        if credits:
            self._credit(credits)

    def _credit(self, credits: Sequence[Credit]) -> int:
        """Add those coupons that are new, of contracts that have not ended; returns their number."""
        asked = {credit.credit_id: checked_credit(credit) for credit in credits}
        return self.call(lambda again: self._credit_once(asked), exact=False)

    def _credit_once(self, asked: dict[str, Credit]) -> int:
        with self.db.transaction():
            self.prove()
            while True:
                new = self._new(asked)
                if not new:
                    return 0
                self.db.run("SAVEPOINT credits")
                if self._add(new):
                    break
                # Another process credited one of them just now: everything is looked at again.
                self.db.run("ROLLBACK TO SAVEPOINT credits")
            contracts = dict.fromkeys(credit.contract for credit in new)
            self.tell([{"kind": "credit", "contract": contract} for contract in contracts])
        return len(new)

    def _new(self, asked: dict[str, Credit]) -> list[Credit]:
        """Coupons to be added, their contracts held; PoolError where one is refused."""
        new: list[Credit] = []
        names = list(asked)
        for start in range(0, len(names), LINES_AT_ONCE):
            some = names[start : start + LINES_AT_ONCE]
            rows = self.db.run(sql.FIND_CREDITS, {"credits": some})
            known = {row[0]: Credit(*row) for row in rows}
            for name, credit in known.items():
                if credit != asked[name]:
                    raise PoolError(
                        f"{self.db.where}: credit {name}: known already with other figures; use the"
                        " subscriber file that filled this database, or another database"
                    )
            new += [asked[name] for name in some if name not in known]
        codes = list(dict.fromkeys(credit.contract for credit in new))
        sums: dict[str, int | None] = {}
        for start in range(0, len(codes), LINES_AT_ONCE):
            some = codes[start : start + LINES_AT_ONCE]
            for code, closed_ns, total in self.db.run(sql.CONTRACT_SUMS, {"contracts": some}):
                sums[code] = total if closed_ns is None else None
        return _within_bounds(new, sums)

    def _add(self, new: list[Credit]) -> bool:
        """Coupons and their entries, and contracts that are new; False where one was there already."""
        for start in range(0, len(new), LINES_AT_ONCE):
            some = new[start : start + LINES_AT_ONCE]
            said: dict[str, object] = {
                "credits": [credit.credit_id for credit in some],
                "contracts": [credit.contract for credit in some],
                "kinds": [credit.kind for credit in some],
                "bytes": [credit.credited_bytes for credit in some],
                "from_ns": [credit.credited_ns for credit in some],
                "until_ns": [credit.expires_ns for credit in some],
                "run": self.run_id,
            }
            self.db.run(sql.ADD_CONTRACTS, said)
            if self.db.run(sql.ADD_COUPONS, said)[0][0] != len(some):
                return False
        return True


def _within_bounds(new: list[Credit], sums: dict[str, int | None]) -> list[Credit]:
    """Those of contracts that go on; PoolError where one's credits leave the bounds together (B80)."""
    kept = []
    for credit in new:
        total = sums.get(credit.contract, 0)
        if total is None:
            continue
        sums[credit.contract] = total = total + credit.credited_bytes
        checked_bytes(f"credit {credit.credit_id}: contract {credit.contract} would have", total)
        kept.append(credit)
    return kept

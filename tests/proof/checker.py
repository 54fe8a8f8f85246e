"""The checker: holds what gateways were answered and let out against the database's books.

It knows the rules, not the stores: nothing here reads a table or calls what it judges. Every check has a
name, by which the planted bugs say who caught them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.proof.facts import Books, Fact, Figures, Finding

SLICE_BYTES = 10 * 1024 * 1024
TOPUP_BYTES = 100 * 1024 * 1024
TOPUPS_A_MONTH = 30
JST_NS = 9 * 3600 * 10**9
DAY_NS = 24 * 3600 * 10**9


class Check:
    """One judgement over the facts and the books of one database."""

    def __init__(
        self, facts: list[Fact], books: Books, bound_bytes: int, refund: bool = False
    ) -> None:
        self.facts = facts
        self.books = books
        self.bound_bytes = bound_bytes
        self.refund = refund
        self.findings: list[Finding] = []
        self.figures = Figures(uncertain_bound_bytes=bound_bytes)
        self.asked = {f.request for f in facts if f.what == "asked"}
        self.let_out: Counter[str] = Counter()
        for fact in facts:
            if fact.what == "let-out":
                self.let_out[fact.line] += fact.amount
        self.broken: Counter[str] = Counter(f.line for f in facts if f.what == "broken-off")

    def report(self, check: str, text: str) -> None:
        self.findings.append(Finding(check, text))

    def run(self) -> list[Finding]:
        """Every check, in order; the findings."""
        self.answers()
        self.requests()
        self.coupon_sums()
        self.slice_sums()
        self.contract_sums()
        self.use()
        self.uncertain()
        self.purchases()
        self.expiry()
        self.audit()
        return self.findings

    def answers(self) -> None:
        """G1, G2, I3: one request, one answer, and the database still says the same."""
        stored = {s.slice_id: (line, s) for line, rows in self.books.slices.items() for s in rows}
        answered: dict[str, tuple[int, int]] = {}
        for fact in self.facts:
            if fact.what != "granted":
                continue
            self.figures.grants_checked += 1
            if not fact.amount:
                continue  # nothing was left; the same request may find something later
            answer = (fact.slice_id, fact.amount)
            if answered.setdefault(fact.request, answer) != answer:
                self.figures.bytes_twice += fact.amount
                words = f"{answered[fact.request]}, then {answer}"
                self.report("answered-twice", f"request {fact.request}: {words}")
            if fact.amount > SLICE_BYTES:
                self.report("above-10MB", f"request {fact.request}: {fact.amount} bytes")
            line, found = stored.get(fact.slice_id, ("", None))
            if found is None or (line, found.request_id, found.granted_bytes) != (
                fact.line,
                fact.request,
                fact.amount,
            ):
                self.figures.grants_lost += 1
                self.report("grant-lost", f"request {fact.request}: was {answer}, is {found}")

    def requests(self) -> None:
        """I3: every slice belongs to a request that somebody made, and no two to the same."""
        owners: dict[str, int] = {}
        for line, slices in self.books.slices.items():
            for entry in slices:
                if not entry.request_id:
                    continue
                if entry.request_id not in self.asked or entry.request_id in owners:
                    self.figures.bytes_twice += entry.granted_bytes
                    words = f"request {entry.request_id}, {entry.granted_bytes} bytes, {line}"
                    self.report("granted-twice", f"slice {entry.slice_id}: {words}")
                owners[entry.request_id] = entry.slice_id

    def wrong(self, check: str, text: str, difference: int) -> None:
        """A sum that does not add up."""
        self.figures.conservation_error_bytes += abs(difference)
        self.report(check, f"{text}: {difference} bytes off")

    def coupon_sums(self) -> None:
        """I1: credited = in the database + granted + expired; what was credited is there."""
        found = {}
        for contract, coupons in self.books.coupons.items():
            for c in coupons:
                found[c.credit_id] = (contract, c.credited_bytes)
                off = c.credited_bytes - c.in_database_bytes - c.granted_bytes - c.expired_bytes
                if off or min(c.in_database_bytes, c.granted_bytes, c.expired_bytes) < 0:
                    self.wrong("coupon-sum", f"coupon {c.credit_id}", off)
        for fact in self.facts:
            if fact.what == "credit" and found.get(fact.request) != (fact.contract, fact.amount):
                self.wrong("credit-lost", f"credit {fact.request}", fact.amount)

    def slice_sums(self) -> None:
        """I1, I2: nothing negative, nothing above what was granted, no slice above 10 MB."""
        for line, slices in self.books.slices.items():
            for s in slices:
                if min(s.used_bytes, s.uncertain_bytes, s.on_sim_bytes) < 0:
                    self.wrong("slice-sum", f"slice {s.slice_id} of {line}", s.on_sim_bytes)
                if s.request_id and not 0 < s.granted_bytes <= SLICE_BYTES:
                    self.report("above-10MB", f"slice {s.slice_id}: {s.granted_bytes} bytes")

    def contract_sums(self) -> None:
        """D9: what coupons granted is what the slices of the contract's lines hold."""
        granted: Counter[str] = Counter()
        owner = {f.line: f.contract for f in self.facts if f.line and f.contract}
        owner |= self.books.contract_of
        for line, slices in self.books.slices.items():
            for s in slices:
                if s.request_id:
                    granted[owner.get(line, "?")] += s.granted_bytes
        for contract, coupons in self.books.coupons.items():
            given = sum(c.granted_bytes for c in coupons)
            off = granted.pop(contract, 0) - given
            if off:
                self.figures.bytes_twice += max(off, 0)
                self.wrong("slices-against-coupons", f"contract {contract}", off)
        for contract, total in granted.items():
            if total:
                self.wrong("slices-against-coupons", f"contract {contract}: no coupons", total)

    def reported(self) -> dict[str, int]:
        """What the database acknowledged as used for certain, per line, all runs added up."""
        runs: dict[tuple[str, int, str], int] = {}
        for fact in self.facts:
            if fact.what in ("settled", "marked"):
                key = (fact.gateway, fact.run, fact.line)
                runs[key] = max(runs.get(key, 0), fact.amount)
        total: dict[str, int] = defaultdict(int)
        for (_, _, line), used in runs.items():
            total[line] += used
        return total

    def use(self) -> None:
        """G3, G4: what was let out is booked, and no more than that is booked for certain."""
        reported = self.reported()
        gone: Counter[str] = Counter()
        for fact in self.facts:
            if fact.what == "removed":
                gone[fact.line] += fact.amount
        for line, slices in self.books.slices.items():
            used = sum(s.used_bytes for s in slices) - gone[line]
            uncertain = sum(s.uncertain_bytes for s in slices)
            granted = sum(s.granted_bytes for s in slices)
            out = self.let_out[line]
            given_back = self.broken[line] * self.bound_bytes if self.refund else 0
            if out > used + uncertain + given_back:
                over = out - used - uncertain
                self.report("let-out-above-booked", f"{line}: {over} bytes were never booked")
            if out > granted + given_back:
                self.report("let-out-above-granted", f"{line}: {out} bytes of {granted}")
            if used > out:
                self.report("booked-above-let-out", f"{line}: {used} booked, {out} let out")
            if used < reported.get(line, 0):
                self.report("report-lost", f"{line}: {used} booked, {reported[line]} reported")

    def uncertain(self) -> None:
        """G4: after a crash at most the watermark's step and one packet is uncertain, per line."""
        for fact in self.facts:
            if fact.what == "uncertain":
                self.figures.uncertain_max_bytes = max(
                    self.figures.uncertain_max_bytes, fact.amount
                )
                if fact.amount > self.bound_bytes:
                    words = f"{fact.amount} bytes, at most {self.bound_bytes}"
                    self.report("uncertain-bound", f"{fact.line} after run {fact.run}: {words}")
        for line, slices in self.books.slices.items():
            total = sum(s.uncertain_bytes for s in slices)
            most = self.bound_bytes * self.broken[line]
            if total > most:
                words = f"{total} bytes after {self.broken[line]} broken-off runs"
                self.report("uncertain-bound", f"{line}: {words}")

    def purchases(self) -> None:
        """C3, D9: what was credited or bought is there, once; no month has more than 30 coupons."""
        months: Counter[tuple[str, int]] = Counter()
        least, most = self.credited("credit", "buy"), self.credited("credit-asked", "buy-asked")
        for fact in {f.request: f for f in self.facts if f.what == "buy"}.values():
            months[(fact.contract, fact.mark)] += fact.amount
        for (contract, month), coupons in months.items():
            if coupons > TOPUPS_A_MONTH:
                self.report("more-than-30", f"{contract}, month {month}: {coupons} coupons")
        for contract in sorted(most):
            total = sum(c.credited_bytes for c in self.books.coupons.get(contract, []))
            if total < least[contract]:
                self.wrong("credit-lost", f"contract {contract}", least[contract] - total)
            if total > most[contract]:
                self.wrong("credited-twice", f"contract {contract}", total - most[contract])

    def credited(self, *kinds: str) -> Counter[str]:
        """Bytes of the credits and purchases of these kinds of fact, each request once."""
        total: Counter[str] = Counter()
        for fact in {f.request: f for f in self.facts if f.what in kinds}.values():
            size = TOPUP_BYTES if fact.what.startswith("buy") else 1
            total[fact.contract] += fact.amount * size
        return total

    def expiry(self) -> None:
        """C6, I7: grants asked for within any span fit into the coupons that were good in it."""
        for contract, coupons in self.books.coupons.items():
            edges = sorted({c.expires_ns for c in coupons} | {c.credited_ns for c in coupons})
            grants = {
                f.request: f for f in self.facts if f.what == "granted" and f.contract == contract
            }
            times = sorted((f.at_ns, f.amount) for f in grants.values())
            for since, until in self.spans(edges):
                asked = sum(amount for at, amount in times if since <= at < until)
                good = sum(
                    c.granted_bytes
                    for c in coupons
                    if c.credited_ns < until and c.expires_ns > since
                )
                if asked > good:
                    words = f"{asked} bytes granted from {since} to {until}, {good} were good"
                    self.report("after-expiry", f"contract {contract}: {words}")

        granted = {c.credit_id: c for rows in self.books.coupons.values() for c in rows}
        for fact in self.facts:
            if fact.what == "over" and granted[fact.request].granted_bytes > fact.amount:
                more = granted[fact.request].granted_bytes - fact.amount
                self.report("after-expiry", f"coupon {fact.request}: {more} bytes after its end")

    @staticmethod
    def spans(edges: list[int]) -> Iterator[tuple[int, int]]:
        """Every span between two edges, and those that are open to one side."""
        low, high = -(1 << 63), 1 << 63
        ends = [low, *edges, high]
        for number, since in enumerate(ends):
            for until in ends[number + 1 :]:
                yield since, until

    def audit(self) -> None:
        """G6: the database's own proof agrees."""
        self.figures.audits += 1
        self.figures.audits_clean += not self.books.audit
        for row in self.books.audit:
            self.report("audit", row)

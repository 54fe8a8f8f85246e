"""Each check of the checker is shown the one thing that it looks for, in books made by hand."""

import pytest

from engine.pool import CouponBalance, SliceState
from tests.proof.checker import Check
from tests.proof.facts import Books, Fact

BOUND = 100
MB = 1024 * 1024
ASKED = Fact("asked", "gw", 1, line="l", request="r")
GRANTED = Fact("granted", "gw", 1, "c", "l", "r", slice_id=1, amount=50, at_ns=5)
CREDIT = Fact("credit", contract="c", request="p", amount=200)
CREDITED = [Fact("credit-asked", contract="c", request="p", amount=200), CREDIT]


def coupon(granted: int = 50, left: int = 150, expired: int = 0) -> CouponBalance:
    """A coupon of 200 bytes, good from 0 on and before 10."""
    return CouponBalance(1, "p", "bundle", 0, 10, 200, left, granted, expired)


def books(
    used: int = 0,
    uncertain: int = 0,
    granted: int = 50,
    coupons: tuple[CouponBalance, ...] = (coupon(),),
    audit: tuple[str, ...] = (),
) -> Books:
    """A contract with one line and one slice."""
    slices = {"l": [SliceState(1, "r", granted, used, uncertain)]}
    return Books({"c": list(coupons)}, slices, {"l": "c"}, list(audit))


def found(facts: list[Fact], given: Books) -> set[str]:
    """Names of the checks that find something."""
    return {finding.check for finding in Check(CREDITED + facts, given, BOUND).run()}


def test_books_that_agree_are_found_right() -> None:
    """G6: no finding where there is nothing to find"""
    assert found([ASKED, GRANTED, Fact("let-out", line="l", amount=20)], books(used=20)) == set()


@pytest.mark.parametrize(
    ("check", "facts", "given"),
    [
        ("grant-lost", [ASKED, GRANTED], Books({"c": [coupon(0, 200)]}, {"l": []}, {}, [])),
        ("granted-twice", [], books()),
        ("above-10MB", [ASKED], books(granted=11 * MB)),
        ("coupon-sum", [ASKED, GRANTED], books(coupons=(coupon(left=149),))),
        ("slice-sum", [ASKED, GRANTED, Fact("let-out", line="l", amount=51)], books(used=51)),
        ("credit-lost", [ASKED, GRANTED], books(coupons=())),
        ("slices-against-coupons", [ASKED, GRANTED], books(coupons=(coupon(40, 160),))),
        ("slices-against-coupons", [ASKED, GRANTED], books(coupons=())),
        ("let-out-above-booked", [ASKED, GRANTED, Fact("let-out", line="l", amount=1)], books()),
        (
            "let-out-above-granted",
            [ASKED, GRANTED, Fact("let-out", line="l", amount=51)],
            books(used=50),
        ),
        ("booked-above-let-out", [ASKED, GRANTED], books(used=1)),
        (
            "report-lost",
            [ASKED, GRANTED, Fact("settled", "gw", 1, line="l", amount=9)],
            books(used=8),
        ),
        ("uncertain-bound", [ASKED, GRANTED], books(uncertain=1)),
        (
            "uncertain-bound",
            [ASKED, GRANTED, Fact("uncertain", line="l", amount=BOUND + 1)],
            books(),
        ),
        (
            "more-than-30",
            [ASKED, GRANTED, Fact("buy", contract="c", request="b", amount=31, mark=1)],
            books(),
        ),
        ("credited-twice", [ASKED, GRANTED], books(coupons=(coupon(), coupon(0, 200)))),
        ("after-expiry", [ASKED, Fact("over", request="p", amount=49)], books()),
        (
            "after-expiry",
            [ASKED, Fact("granted", "gw", 1, "c", "l", "r", 1, 50, at_ns=10)],
            books(),
        ),
        ("audit", [ASKED, GRANTED], books(audit=("coupon 1: …",))),
    ],
)
def test_each_check_finds_what_it_is_for(check: str, facts: list[Fact], given: Books) -> None:
    """G1-G4, G6, I1-I3, I5, I7, C3, C6, D1"""
    assert check in found(facts, given)


def test_two_answers_to_one_request_are_found() -> None:
    """I3"""
    other = Fact("granted", "gw", 1, "c", "l", "r", slice_id=2, amount=50, at_ns=5)
    assert "answered-twice" in found([ASKED, GRANTED, other], books())


def test_given_back_bytes_may_be_used_again_within_the_bound() -> None:
    """G4: "refund" lets a broken-off run use up to the bound twice, and no more"""
    facts = [*CREDITED, ASKED, GRANTED, Fact("broken-off", line="l")]
    for amount, expected in ((50 + BOUND, set()), (51 + BOUND, {"let-out-above-booked"})):
        out = Fact("let-out", line="l", amount=amount)
        check = Check([*facts, out], books(used=50), BOUND, refund=True)
        assert {f.check for f in check.run()} & {"let-out-above-booked"} == expected

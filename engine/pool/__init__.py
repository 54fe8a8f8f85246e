"""The coupon database: coupons per contract, 10 MB slices, and books that must balance (C, D)."""

from engine.pool.store import (
    BUNDLE,
    TOPUP,
    Account,
    BookEntry,
    ContractBalance,
    CouponBalance,
    CouponStore,
    DayUsage,
    Grant,
    LineBalance,
    LineNews,
    Notice,
    Purchase,
    SliceState,
    StoreOptions,
    open_store,
)

__all__ = [
    "BUNDLE",
    "TOPUP",
    "Account",
    "BookEntry",
    "ContractBalance",
    "CouponBalance",
    "CouponStore",
    "DayUsage",
    "Grant",
    "LineBalance",
    "LineNews",
    "Notice",
    "Purchase",
    "SliceState",
    "StoreOptions",
    "open_store",
]

"""The coupon database: coupons per contract, 10 MB slices, and books that must balance (C, D)."""

from engine.pool.store import (
    BUNDLE,
    TOPUP,
    ContractBalance,
    CouponBalance,
    CouponStore,
    Grant,
    SliceState,
    open_store,
)

__all__ = [
    "BUNDLE",
    "TOPUP",
    "ContractBalance",
    "CouponBalance",
    "CouponStore",
    "Grant",
    "SliceState",
    "open_store",
]

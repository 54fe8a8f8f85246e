"""The naive twin of the engine: the service rules in plain Python, exact and slow.

It shares no code with the engine, uses no numpy and no float, and works in another way where there
is one: a contract is a list of coupons walked from the start at every ask, a limiter is a point in
time held as a fraction. Where it and the engine differ, one of them is wrong.
"""

from .calendar import JST_DAY_NS, bundle_bytes, day_of, end_of_month_after_ns, month_start_ns
from .coupons import Coupon, Database
from .exempt import ExemptList, Fragment
from .gateway import Counters, Gateway, Line, Plan, Settings, Verdict
from .limiter import Limiter, Rate

__all__ = [
    "JST_DAY_NS",
    "Counters",
    "Coupon",
    "Database",
    "ExemptList",
    "Fragment",
    "Gateway",
    "Limiter",
    "Line",
    "Plan",
    "Rate",
    "Settings",
    "Verdict",
    "bundle_bytes",
    "day_of",
    "end_of_month_after_ns",
    "month_start_ns",
]

"""Subscribers: contracts, lines and events; who may attach, with what, and what happens when."""

from engine.subscribers import events
from engine.subscribers.loader import check, json_schema, load, load_any
from engine.subscribers.model import (
    Attach,
    Book,
    Charge,
    Contract,
    Coupon,
    Detach,
    Event,
    Line,
    ReloadExempt,
    ReplaceSim,
    Resume,
    Suspend,
    Switch,
)

__all__ = [
    "Attach",
    "Book",
    "Charge",
    "Contract",
    "Coupon",
    "Detach",
    "Event",
    "Line",
    "ReloadExempt",
    "ReplaceSim",
    "Resume",
    "Suspend",
    "Switch",
    "check",
    "events",
    "json_schema",
    "load",
    "load_any",
]

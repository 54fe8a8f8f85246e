"""Configuration: TOML to frozen, validated settings."""

from engine.config.faults import Fault, Place
from engine.config.loader import check, default_path, example, json_schema, load, show
from engine.config.model import (
    Endpoint,
    Exempt,
    Limit,
    Plan,
    Restriction,
    Settings,
    SlowLimit,
    Speed,
)

__all__ = [
    "Endpoint",
    "Exempt",
    "Fault",
    "Limit",
    "Place",
    "Plan",
    "Restriction",
    "Settings",
    "SlowLimit",
    "Speed",
    "check",
    "default_path",
    "example",
    "json_schema",
    "load",
    "show",
]

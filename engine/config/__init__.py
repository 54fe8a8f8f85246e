"""Configuration: TOML to frozen, validated settings."""

from engine.config.access import Access
from engine.config.faults import Fault, Place
from engine.config.loader import (
    check,
    default_path,
    example,
    json_schema,
    load,
    load_exempt,
    show,
)
from engine.config.model import (
    Endpoint,
    Exempt,
    Limit,
    Migration,
    Option,
    Plan,
    Police,
    RatingGroup,
    Restriction,
    Service,
    Settings,
    SlowLimit,
    Speed,
    Terms,
)

__all__ = [
    "Access",
    "Endpoint",
    "Exempt",
    "Fault",
    "Limit",
    "Migration",
    "Option",
    "Place",
    "Plan",
    "Police",
    "RatingGroup",
    "Restriction",
    "Service",
    "Settings",
    "SlowLimit",
    "Speed",
    "Terms",
    "check",
    "default_path",
    "example",
    "json_schema",
    "load",
    "load_exempt",
    "show",
]

"""Captures in, reports out: what would have been charged, slowed and dropped."""

from engine.replay.failif import Condition
from engine.replay.options import Options
from engine.replay.run import Report, run

__all__ = ["Condition", "Options", "Report", "run"]

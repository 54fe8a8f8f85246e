"""The engine: packets in, verdicts out; here alone accounting, shaper, pool and subscribers meet."""

from engine.runtime.engine import Engine

__all__ = ["Engine"]

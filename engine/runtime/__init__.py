"""The engine: packets in, verdicts out; here alone accounting, shaper, pool and subscribers meet."""

from engine.runtime.engine import Engine, store_options

__all__ = ["Engine", "store_options"]

"""pktoll's engine: meters, charges and shapes the packets of a mobile packet gateway.

    from engine import Engine

`Engine` is loaded when it is first asked for, so that `import engine` alone stays quick.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.runtime import Engine

__all__ = ["Engine", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "Engine":
        from engine.runtime import Engine

        return Engine
    raise AttributeError(f"module 'engine' has no attribute '{name}'")

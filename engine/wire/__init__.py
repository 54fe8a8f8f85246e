"""Bytes -> packet columns: captures, link layers, IP, GTP-U. Copies no payload but that of GTP-C."""

from engine.wire.state import MODE_GTP, MODE_IP

__all__ = ["MODE_GTP", "MODE_IP"]

"""Control messages at speed: scapy builds one of each shape, the others are stamped from it.

A message is built once with marks in place of what differs; where a mark stands, the others get their
own. Octet by octet it is what scapy would build. A shape in which a mark stands twice is left to scapy.
"""

from dataclasses import dataclass

from gateway_sim.codec import gtpv1 as codec_gtpv1
from gateway_sim.codec import gtpv2 as codec_gtpv2
from gateway_sim.signalling.control import SEQUENCE_BITS, Fill, Kind, Shape, bcd, mark

SHAPES_MAX = 512
"""templates that are kept; a scenario needs a few"""
_BUILD = {1: codec_gtpv1.build, 2: codec_gtpv2.build}


@dataclass(frozen=True, slots=True)
class Template:
    """A message with marks, and (name, offset, bytes) of each."""

    octets: bytes
    slots: tuple[tuple[str, int, int], ...]


_templates: dict[tuple[Shape, int, int, int], Template | None] = {}


def build(shape: Shape, fill: Fill) -> bytes:
    """The message by scapy alone: slow."""
    return _BUILD[shape.version](shape, fill)


def stamp(shape: Shape, fill: Fill) -> bytes:
    """The same octets from a template."""
    key = (shape, len(fill.imsi), len(fill.msisdn), len(fill.imei))
    if key not in _templates:
        if len(_templates) >= SHAPES_MAX:
            _templates.clear()
        _templates[key] = _template(shape, fill)
    template = _templates[key]
    if template is None:
        return build(shape, fill)
    octets = bytearray(template.octets)
    for name, at, size in template.slots:
        octets[at : at + size] = _value(name, fill, size)
    return bytes(octets)


def _value(name: str, fill: Fill, size: int) -> bytes:
    value = getattr(fill, name)
    if isinstance(value, int):
        return value.to_bytes(size, "big")
    return value if isinstance(value, bytes) else bcd(value)


def _template(shape: Shape, fill: Fill) -> Template | None:
    marks = mark(fill)
    octets = build(shape, marks)
    slots = _header(shape.version, octets)
    for name in ("teid_control", "teid_user", "imsi", "msisdn", "imei", "challenge", "response"):
        value = _value(name, marks, 4)
        count = octets.count(value) if value else 0
        if count > 1:  # one or two digits are too short to be told from the rest
            return None
        if count:
            slots.append((name, octets.index(value), len(value)))
    return Template(octets, tuple(slots))


def _header(version: int, octets: bytes) -> list[tuple[str, int, int]]:
    """Sequence number and TEID; of version 2 a flag says whether there is a TEID (TS 29.274 5.1)."""
    size = SEQUENCE_BITS[version] // 8
    if version == 2 and not octets[0] & 0x08:
        return [("sequence", 4, size)]
    return [("teid", 4, 4), ("sequence", 8, size)]


__all__ = ["Fill", "Kind", "Shape", "build", "stamp"]

"""Headers of capture files, read in Python: they are few. Pure functions on bytes; no I/O."""

import struct
from dataclasses import dataclass

from engine.units import NS_PER_S, NS_PER_US
from engine.wire.stamps import MULTIPLY, resolution

PCAP_HEADER_BYTES = 24
SECTION_BYTES_MIN = 28
INTERFACE_BYTES_MIN = 20
SECTION_MAGIC = b"\x0a\x0d\x0d\x0a"
BYTE_ORDER_MAGIC = 0x1A2B3C4D

_MAGICS = {  # ns per unit of the second stamp field, size of a record header
    0xA1B2C3D4: (NS_PER_US, 16),
    0xA1B23C4D: (1, 16),
    0xA1B2CD34: (NS_PER_US, 24),  # Kuznetzov's: interface index, protocol, packet type follow
}

_SWAPPED_UNTIL = (2, 3)
"""files up to this version may have the two lengths of a record the other way round"""
_VERSION_DG_UX = (543, 0)

_FCS_PRESENT = 0x04000000
_FCS_SHIFT = 28
"""link type field: 16-bit words of FCS in the four highest bits, if the bit above is set"""

OPTION_END = 0
OPTION_TSRESOL = 9
OPTION_TSOFFSET = 14
MICROSECONDS = 6
"""default of if_tsresol"""
_OFFSET_S_MAX = (1 << 63) // NS_PER_S - 1


@dataclass(frozen=True, slots=True)
class Interface:
    """How frames of one interface are framed and stamped; the fields of layout.INTERFACE."""

    link: int
    fcs_bytes: int
    snaplen: int
    kind: int
    factor: int
    offset_ns: int


@dataclass(frozen=True, slots=True)
class PcapHeader:
    """What the 24 bytes at the beginning of a pcap file say."""

    big: bool
    record_header_bytes: int
    swapped_lengths: bool
    interface: Interface


def pcap_order(magic: bytes) -> str | None:
    """The byte order of a pcap file, for `struct`, by its first four bytes; None if it is none."""
    for order in "<>":
        if struct.unpack(order + "I", magic)[0] in _MAGICS:
            return order
    return None


def pcap_header(data: bytes, order: str) -> PcapHeader:
    """The header of a pcap file of this byte order, from its 24 bytes."""
    magic, major, minor, snaplen, field = struct.unpack(order + "IHH8xII", data)
    factor, record_header_bytes = _MAGICS[magic]
    fcs_bytes = (field >> _FCS_SHIFT) * 2 if field & _FCS_PRESENT else 0
    interface = Interface(field & 0xFFFF, fcs_bytes, snaplen, MULTIPLY, factor, 0)
    swapped = (major, minor) <= _SWAPPED_UNTIL or (major, minor) == _VERSION_DG_UX
    return PcapHeader(order == ">", record_header_bytes, swapped, interface)


def section_order(data: bytes) -> bool | None:
    """True for network byte order, from the first 12 bytes of a section header; None if damaged."""
    for big in (False, True):
        if struct.unpack_from(">I" if big else "<I", data, 8)[0] == BYTE_ORDER_MAGIC:
            return big
    return None


def section_fault(block: bytes, big: bool) -> str | None:
    """What is wrong with a section header block, if anything."""
    major, minor = struct.unpack_from(">HH" if big else "<HH", block, 12)
    if major != 1:
        return f"section of unknown version {major}.{minor}"
    return None


def interface_block(block: bytes, big: bool) -> Interface | str:
    """What a whole interface description block says, or what is wrong with it."""
    order = ">" if big else "<"
    link, snaplen = struct.unpack_from(order + "H2xI", block, 8)
    options: dict[int, bytes] = {}
    at, end = 16, len(block) - 4
    while at + 4 <= end:
        code, size = struct.unpack_from(order + "HH", block, at)
        if code == OPTION_END:
            break
        if at + 4 + size > end:
            return "interface option that runs past its block"
        if code in (OPTION_TSRESOL, OPTION_TSOFFSET):
            if code in options:
                return "interface with two time-stamp options of a kind"
            options[code] = block[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
    return _stamped(link, snaplen, options, order)


def _stamped(link: int, snaplen: int, options: dict[int, bytes], order: str) -> Interface | str:
    """The interface with its time-stamp options (draft-ietf-opsawg-pcapng 4.2) worked in."""
    tsresol = options.get(OPTION_TSRESOL, bytes([MICROSECONDS]))
    offset = options.get(OPTION_TSOFFSET, bytes(8))
    if len(tsresol) != 1 or len(offset) != 8:
        return "interface with a time-stamp option of the wrong size"
    units = resolution(tsresol[0])
    if units is None:
        return f"interface with the impossible time-stamp resolution 0x{tsresol[0]:02x}"
    offset_s = struct.unpack(order + "q", offset)[0]
    if abs(offset_s) > _OFFSET_S_MAX:
        return f"interface with the impossible time-stamp offset {offset_s} s"
    return Interface(link, 0, snaplen, *units, offset_s * NS_PER_S)

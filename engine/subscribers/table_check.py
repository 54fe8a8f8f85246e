"""Whether the records of a subscriber table say what they may: the first that does not, and what is wrong.

The file's checksums speak of damage; this of a program that wrote what no terminal or contract can have.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.config.model import BYTES_MAX, YEAR_MAX
from engine.jit import i8s, inlined, kernel, leaf, rows, unsigned
from engine.layout import (
    TABLE_CONTRACT,
    TABLE_COUPON,
    TABLE_COUPON_ON,
    TABLE_IN_SERVICE,
    TABLE_IPV6,
    TABLE_LINE,
    TABLE_OWN_COUPONS,
    TABLE_PREFIX_FIRST,
)

Rows = npt.NDArray[Any]

MONTHS_MAX = (YEAR_MAX - 1970 + 1) * 12
DAYS_MAX = 106_650
"""days from 1970-01-01 to 2261-12-31"""
LINE_FLAGS = TABLE_COUPON_ON | TABLE_IN_SERVICE | TABLE_PREFIX_FIRST
CONTRACT_FLAGS = TABLE_OWN_COUPONS | TABLE_IPV6
MULTICAST4 = 0xE0000000
"""224.0.0.0, from which on no address is a terminal's (RFC 1112 4)"""
MULTICAST6 = 0xFF
"""first octet of IPv6 multicast (RFC 4291 2.7)"""

FINE, CODE, DIGITS, ADDRESS, VOLUME, MONTH, DAY, FLAGS, PLAN, SIMS, GATEWAY, ORDER, KIND, SPARE = (
    range(14)
)
FAULTS = {
    CODE: "a code that is not 1 to 16 printable ASCII characters, or is a number",
    DIGITS: "an IMSI or telephone number that is not 5 to 15 digits, or an ICCID that is not 16 to 22",
    ADDRESS: "an address that no terminal can have",
    VOLUME: "a volume below 0, or volumes that add up to more than 2^62 bytes",
    MONTH: "a month after 2261-12, or none where one is needed",
    DAY: "a day after 2261-12-31",
    FLAGS: "flags that mean nothing",
    PLAN: "a plan that is not among the names",
    SIMS: "more lines than the plan has SIMs",
    GATEWAY: "a gateway that is not among the names, or one without teid_up",
    ORDER: "lines or coupons that are not where the contracts before leave off",
    KIND: "a kind of coupon that is none",
    SPARE: "something in a field that must be 0",
}

CONTRACTS, COUPONS, LINES = range(3)
"""sections, as `first_fault` names them"""


@leaf
def is_code(first, second):  # type: ignore[no-untyped-def]
    """True for 1 to 16 printable characters of ASCII that are not all digits, filled with 0."""
    digits = True
    length = np.int64(-1)
    for k in range(16):
        word = first if k < 8 else second
        char = word >> 8 * (k & 7) & 0xFF
        if char == 0:
            length = np.int64(k) if length < 0 else length
        elif length >= 0 or char <= 0x20 or char >= 0x7F:
            return False
        elif char < 0x30 or char > 0x39:
            digits = False
    return length != 0 and not digits


@leaf
def digits_of(word, rest):  # type: ignore[no-untyped-def]
    """How many digits two words of 8 and 4 octets hold, the first in the upper half; -1 for none such."""
    count = np.int64(0)
    ended = False
    for k in range(24):
        octet = (word >> 8 * (k >> 1) if k < 16 else rest >> 8 * (k - 16 >> 1)) & 0xFF
        digit = octet & 0xF if k & 1 else octet >> 4
        if digit == 0xF:
            ended = True
        elif ended or digit > 9:
            return np.int64(-1)
        else:
            count += 1
    return count


@inlined
def is_number(word, rest, least, most):  # type: ignore[no-untyped-def]
    """True for so many digits, or where there is no number at all."""
    count = digits_of(word, rest)
    return count == 0 or least <= count <= most


@leaf
def contract_fault(contract, limits):  # type: ignore[no-untyped-def]
    """What is wrong with a contract by itself."""
    if not is_code(np.int64(contract["code"][0]), np.int64(contract["code"][1])):
        return CODE
    ended = False
    for k in range(12):
        char = np.int64(contract["mio_id"][k])
        if char != 0 and (ended or char <= 0x20 or char >= 0x7F):
            return CODE
        ended = ended or char == 0
    plan, ordered = np.int64(contract["plan"]), np.int64(contract["next_plan"])
    since = np.int64(contract["next_since"])
    if plan >= limits[0] or ordered > limits[0]:
        return PLAN
    lines = np.int64(contract["lines"])
    if lines > limits[2 + plan] or (ordered != 0 and lines > limits[1 + ordered]):
        return SIMS
    if np.int64(contract["started"]) > DAYS_MAX:
        return DAY
    if np.int64(contract["ends"]) > MONTHS_MAX or since > MONTHS_MAX:
        return MONTH
    if (since == 0) != (ordered == 0):
        return MONTH
    flags = np.int64(contract["flags"])
    if flags & ~CONTRACT_FLAGS != 0:
        return FLAGS
    if np.int64(contract["coupons"]) != 0 and flags & TABLE_OWN_COUPONS == 0:
        return FLAGS
    return SPARE if np.int64(contract["spare"]) != 0 else FINE


@leaf
def line_fault(line, gateways):  # type: ignore[no-untyped-def]
    """What is wrong with a line by itself."""
    if not is_code(np.int64(line["code"][0]), np.int64(line["code"][1])):
        return CODE
    whole = np.int64(0xFFFFFFFF)
    for word in (np.int64(line["imsi"]), np.int64(line["msisdn"])):
        if not is_number(word, whole, 5, 15):
            return DIGITS
    if not is_number(np.int64(line["iccid"]), np.int64(line["iccid_rest"]), 16, 22):
        return DIGITS
    if np.int64(line["ipv4"]) >= MULTICAST4 or np.int64(line["prefix"]) >> 56 & 0xFF == MULTICAST6:
        return ADDRESS
    if not 0 <= np.int64(line["balance_bytes"]) <= BYTES_MAX:
        return VOLUME
    gateway = np.int64(line["gateway"])
    if gateway > gateways or (gateway != 0 and np.int64(line["teid_up"]) == 0):
        return GATEWAY
    if np.int64(line["ends"]) > MONTHS_MAX:
        return MONTH
    if np.int64(line["flags"]) & ~LINE_FLAGS != 0:
        return FLAGS
    spare = line["spare"]
    return SPARE if np.int64(spare[0] | spare[1] | spare[2]) != 0 else FINE


@leaf
def coupon_fault(coupon):  # type: ignore[no-untyped-def]
    """What is wrong with a coupon by itself."""
    if not 0 <= np.int64(coupon["bytes"]) <= BYTES_MAX:
        return VOLUME
    if not 1 <= np.int64(coupon["expires"]) <= MONTHS_MAX:
        return MONTH
    if np.int64(coupon["kind"]) > 1:
        return KIND
    return SPARE if np.int64(coupon["spare"]) != 0 else FINE


@kernel(rows(TABLE_CONTRACT), rows(TABLE_COUPON), rows(TABLE_LINE), i8s, i8s)
def first_fault(contracts, coupons, lines, limits, out):  # type: ignore[no-untyped-def]
    """Look at every record: FINE, or what is wrong with the first in the order of the contracts.

    limits: number of plans, of gateways, then the SIMs of each plan. out: section and index of the record.
    """
    total = np.int64(0)
    line_at = coupon_at = np.int64(0)
    for k in range(len(contracts)):
        contract = contracts[unsigned(k)]
        out[0], out[1] = CONTRACTS, k
        fault = contract_fault(contract, limits)
        if fault != FINE:
            return fault
        lines_end = line_at + np.int64(contract["lines"])
        coupons_end = coupon_at + np.int64(contract["coupons"])
        starts = np.int64(contract["first_line"]) == line_at
        if not starts or np.int64(contract["first_coupon"]) != coupon_at:
            return ORDER
        if lines_end > len(lines) or coupons_end > len(coupons):
            return ORDER
        for at in range(coupon_at, coupons_end):
            out[0], out[1] = COUPONS, at
            fault = coupon_fault(coupons[unsigned(at)])
            if fault != FINE:
                return fault
            total += np.int64(coupons[unsigned(at)]["bytes"])
            if total > BYTES_MAX:
                return VOLUME
        for at in range(line_at, lines_end):
            out[0], out[1] = LINES, at
            fault = line_fault(lines[unsigned(at)], limits[1])
            if fault != FINE:
                return fault
            if np.int64(lines[unsigned(at)]["contract"]) != k:
                return ORDER
            total += np.int64(lines[unsigned(at)]["balance_bytes"])
            if total > BYTES_MAX:
                return VOLUME
        line_at, coupon_at = lines_end, coupons_end
    if line_at < len(lines):
        out[0], out[1] = LINES, line_at
        return ORDER
    if coupon_at < len(coupons):
        out[0], out[1] = COUPONS, coupon_at
        return ORDER
    return FINE

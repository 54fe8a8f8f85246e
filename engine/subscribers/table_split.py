"""Rows of a CSV subscriber file told apart into fields, for kernels: as Python does where that is plain."""

import numpy as np

from engine.jit import leaf, unsigned
from engine.subscribers.csvbook import COLUMNS, CONTRACT_COLUMNS
from engine.subscribers.table_fields import byte

WHOLE, MORE, BROKEN = 0, -1, -2
"""the piece was read; its end is not in the text; it is not to be read here"""
(
    CONTRACT,
    PLAN,
    STARTED,
    MIO_ID,
    OWN_COUPONS,
    CONTRACT_ENDS,
    NEXT_PLAN,
    IPV6,
    LINE,
    IMSI,
    ICCID,
    MSISDN,
    COUPON,
    BALANCE_BYTES,
    ADDRESSES,
    TEID_UP,
    TEID_DOWN,
    GATEWAY,
    IN_SERVICE,
    ENDS,
) = range(len(COLUMNS))
"""the columns in the order of `csvbook.COLUMNS`; of each, `fields` has begin and end in the row"""
OF_CONTRACT = len(CONTRACT_COLUMNS)
ROW = len(COLUMNS)
"""the row itself: how many fields it has (none: an empty line), and whether something in it is odd"""
FIRST = ROW + 1
"""the columns of a contract again, as they are in its first row"""
FIELDS = FIRST + OF_CONTRACT
FIELD_BYTES_MAX = 4_096
"""a longer field is odd; longer ones yet are not CSV to Python"""


@leaf
def quoted_end(text, at, end, fields):  # type: ignore[no-untyped-def]
    """Where the quote is that closes the field whose first quote is before `at`; MORE or BROKEN."""
    while at < end:
        char = byte(text, at)
        if char == 0x22:
            if at + 1 == end or byte(text, at + 1) != 0x22:
                return at
            fields[ROW, 1] = 1
            at += 1
        elif char == 0x0A or char == 0x0D:
            return np.int64(BROKEN)
        elif char < 0x20 or char >= 0x7F:
            fields[ROW, 1] = 1
        at += 1
    return np.int64(MORE)


@leaf
def bare_end(text, at, end, fields):  # type: ignore[no-untyped-def]
    """Where a field without quotes ends; BROKEN where there is one after all."""
    while at < end:
        char = byte(text, at)
        if char <= 0x2C or char >= 0x7F:
            if char == 0x2C or char == 0x0A or char == 0x0D:
                return at
            if char == 0x22:
                return np.int64(BROKEN)
            if char < 0x20 or char >= 0x7F:
                fields[ROW, 1] = 1
        at += 1
    return at


@leaf
def enter(text, at, end, columns, fields):  # type: ignore[no-untyped-def]
    """One more field of the row, blanks around it left out."""
    count = fields[ROW, 0]
    fields[ROW, 0] = count + 1
    if end - at > FIELD_BYTES_MAX or count >= len(columns):
        fields[ROW, 1] = 1
        return
    while at < end and byte(text, at) == 0x20:
        at += 1
    while at < end and byte(text, end - 1) == 0x20:
        end -= 1
    column = columns[unsigned(count)]
    fields[column, 0], fields[column, 1] = at, end


@leaf
def complete(begin, at, columns, fields):  # type: ignore[no-untyped-def]
    """Close the row that ends before `at`: an empty line has no fields, others one for each column."""
    if begin == at:
        fields[ROW, 0] = fields[ROW, 1] = 0
    for k in range(fields[ROW, 0], len(columns)):
        fields[columns[k], 0] = fields[columns[k], 1] = 0
        fields[ROW, 1] = 1


@leaf
def split(text, at, end, final, columns, fields):  # type: ignore[no-untyped-def]
    """The fields of the row that begins at `at`; where the next row begins, MORE or BROKEN."""
    begin = at
    fields[ROW, 0] = fields[ROW, 1] = 0
    while True:
        if at < end and byte(text, at) == 0x22:
            stop = quoted_end(text, at + 1, end, fields)
            if stop < 0:
                return stop
            enter(text, at + 1, stop, columns, fields)
            stop += 1
        else:
            stop = bare_end(text, at, end, fields)
            if stop < 0:
                return stop
            enter(text, at, stop, columns, fields)
        if stop == end:
            complete(begin, stop, columns, fields)
            return end if final else np.int64(MORE)
        char = byte(text, stop)
        if char == 0x0A:
            complete(begin, stop, columns, fields)
            return stop + 1
        if char == 0x0D:
            complete(begin, stop, columns, fields)
            if stop + 1 == end:
                return np.int64(MORE)
            return stop + 2 if byte(text, stop + 1) == 0x0A else np.int64(BROKEN)
        if char != 0x2C:
            return np.int64(BROKEN)
        at = stop + 1


@leaf
def same(text, fields, one, other):  # type: ignore[no-untyped-def]
    """Whether two fields are the same to the letter."""
    at, end = fields[one, 0], fields[one, 1]
    shift = fields[other, 0] - at
    if fields[other, 1] - end != shift:
        return False
    for k in range(at, end):
        if byte(text, k) != byte(text, k + shift):
            return False
    return True

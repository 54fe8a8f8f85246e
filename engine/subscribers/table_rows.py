"""Rows of a CSV subscriber file as records of a subscriber table: the kernel that reads a piece of it.

It takes what is plain in every respect. A contract that is not is passed over, its place kept: it is *odd*,
and whoever calls sees to it. What cannot even be told apart into rows and fields, or is sure to be refused,
ends the piece: all of it is left to `engine.subscribers.loader`.
"""

import numpy as np

from engine.config.model import BYTES_MAX
from engine.jit import i8s, i8s2, kernel, leaf, rows, tuple_of, u1s, unsigned
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
from engine.subscribers.model import TEID_MAX
from engine.subscribers.table_fields import (
    ODD,
    byte,
    code_of,
    day_of,
    flag_of,
    integer_of,
    ipv4_of,
    month_of,
    number_of,
    prefix_of,
    volume_of,
    word_of,
)
from engine.subscribers.table_split import (
    ADDRESSES,
    BALANCE_BYTES,
    BROKEN,
    CONTRACT,
    CONTRACT_ENDS,
    COUPON,
    ENDS,
    FIRST,
    GATEWAY,
    ICCID,
    IMSI,
    IN_SERVICE,
    IPV6,
    LINE,
    MIO_ID,
    MSISDN,
    NEXT_PLAN,
    OF_CONTRACT,
    OWN_COUPONS,
    PLAN,
    ROW,
    STARTED,
    TEID_DOWN,
    TEID_UP,
    WHOLE,
    same,
    split,
)

STATE_WORDS = 13
AT, END, FINAL, ROWS_MIN, NEXT, CONTRACTS, LINES, COUPONS, ODDS, VOLUME, BEGAN, BAD, HELD = range(
    STATE_WORDS
)
"""State. In: where the piece begins and the text ends, whether the file ends there, rows of a piece. Out:
where the next piece begins, how many records and odd contracts there are, what the volumes add up to. Of
the contract that is being read: where it begins, whether it is odd, and its volumes."""
HELD_MAX = BYTES_MAX >> 1
"""what holds more is odd: so sums stay below 2^63"""
BUNDLE, TOPUP, NONE, ALONE = (
    int.from_bytes(word, "little") for word in (b"bundle", b"topup", b"none", b"/32")
)

PLANS = tuple_of(u1s, i8s)
"""the names of all plans, in one; begin, end and SIMs of each"""
RECORDS = tuple_of(rows(TABLE_CONTRACT), rows(TABLE_LINE), rows(TABLE_COUPON))


@leaf
def plan_of(text, at, end, plans):  # type: ignore[no-untyped-def]
    """Index of the plan with this name; ODD where there is none."""
    names, places = plans
    for k in range(len(places) // 3):
        begin = places[3 * k]
        found = places[3 * k + 1] - begin == end - at
        for j in range(end - at if found else 0):
            found = found and byte(text, at + j) == byte(names, begin + j)
        if found:
            return np.int64(k)
    return np.int64(ODD)


@leaf
def put_coupons(text, fields, coupons, state):  # type: ignore[no-untyped-def]
    """Enter the coupons of a contract; False where one is not plain."""
    at, end = fields[OWN_COUPONS, 0], fields[OWN_COUPONS, 1]
    if word_of(text, at, end, 0) == NONE:
        return True
    while at < end:
        stop = at
        first = second = np.int64(0)
        while stop < end and byte(text, stop) != 0x20:
            if byte(text, stop) == 0x3A:
                first, second = second, stop
            stop += 1
        if stop > at:
            # With one colon or none, `first` is 0, and nothing stands before it.
            kind = word_of(text, at, first, 0)
            volume = integer_of(text, first + 1, second)
            month = month_of(text, second + 1, stop)
            if (kind != BUNDLE and kind != TOPUP) or volume < 0 or month < 0:
                return False
            if state[COUPONS] == len(coupons):
                return False
            coupon = coupons[unsigned(state[COUPONS])]
            coupon["bytes"], coupon["expires"] = volume, month
            coupon["kind"], coupon["spare"] = 1 if kind == TOPUP else 0, 0
            state[COUPONS] += 1
            state[HELD] += volume
            if state[HELD] > HELD_MAX:
                return False
        at = stop + 1
    return True


@leaf
def put_order(text, fields, plans, contract):  # type: ignore[no-untyped-def]
    """Enter the plan that was ordered; False where that is not plain."""
    at, end = fields[NEXT_PLAN, 0], fields[NEXT_PLAN, 1]
    contract["next_plan"] = contract["next_since"] = 0
    if at == end:
        return True
    if end - at < 9 or byte(text, end - 8) != 0x3A:
        return False
    plan, month = plan_of(text, at, end - 8, plans), month_of(text, end - 7, end)
    if plan < 0 or month < 0:
        return False
    contract["next_plan"], contract["next_since"] = plan + 1, month
    return True


@leaf
def put_contract(text, fields, plans, records, state):  # type: ignore[no-untyped-def]
    """Enter what the first row of a contract says of it; False where that is not plain."""
    contracts, _, coupons = records
    contract = contracts[unsigned(state[CONTRACTS])]
    contract["first_line"], contract["first_coupon"] = state[LINES], state[COUPONS]
    first, second = code_of(text, fields[CONTRACT, 0], fields[CONTRACT, 1])
    plan = plan_of(text, fields[PLAN, 0], fields[PLAN, 1], plans)
    day = day_of(text, fields[STARTED, 0], fields[STARTED, 1])
    at, end = fields[MIO_ID, 0], fields[MIO_ID, 1]
    ends = np.int64(0)
    if fields[CONTRACT_ENDS, 0] != fields[CONTRACT_ENDS, 1]:
        ends = month_of(text, fields[CONTRACT_ENDS, 0], fields[CONTRACT_ENDS, 1])
    ipv6 = flag_of(text, fields[IPV6, 0], fields[IPV6, 1], 0)
    if fields[ROW, 1] != 0 or first == 0 or plan < 0 or day < 0 or ends < 0 or ipv6 < 0:
        return False
    if end - at > 12:
        return False
    mio_id = contract["mio_id"]
    for k in range(12):
        char = byte(text, at + k) if k < end - at else np.int64(0)
        if char == 0x20:
            return False
        mio_id[k] = char
    contract["code"][0], contract["code"][1] = first, second
    contract["plan"], contract["started"], contract["ends"] = plan, day, ends
    own = fields[OWN_COUPONS, 0] != fields[OWN_COUPONS, 1]
    contract["flags"] = (TABLE_OWN_COUPONS if own else 0) | (TABLE_IPV6 if ipv6 != 0 else 0)
    fine = put_coupons(text, fields, coupons, state)
    contract["coupons"], contract["spare"] = state[COUPONS] - contract["first_coupon"], 0
    return fine and put_order(text, fields, plans, contract)


@leaf
def repeats(text, fields):  # type: ignore[no-untyped-def]
    """Whether a later row of a contract leaves each of its columns empty, or says the same again."""
    for column in range(OF_CONTRACT):
        filled = fields[column, 0] != fields[column, 1]
        if filled and not same(text, fields, column, FIRST + column):
            return False
    return True


@leaf
def put_addresses(text, fields, line):  # type: ignore[no-untyped-def]
    """Enter an IPv4 address and an IPv6 /64, of each one at the most; False where that is not plain."""
    at, end = fields[ADDRESSES, 0], fields[ADDRESSES, 1]
    four = six = flags = np.int64(0)
    while at < end:
        stop = at
        colon = False
        while stop < end and byte(text, stop) != 0x20:
            colon = colon or byte(text, stop) == 0x3A
            stop += 1
        if colon:
            prefix = prefix_of(text, at, stop)
            if prefix == 0 or six != 0:
                return False
            six = prefix
            flags = np.int64(TABLE_PREFIX_FIRST if four == 0 else 0)
        elif stop > at:
            alone = stop - at > 3 and word_of(text, stop - 3, stop, 0) == ALONE
            address = ipv4_of(text, at, stop - 3 if alone else stop)
            if address < 0 or four != 0:
                return False
            four = address
        at = stop + 1
    line["ipv4"], line["prefix"] = four, six
    # As the writer has it: without any address the (absent) prefix counts as the first.
    line["flags"] = TABLE_PREFIX_FIRST if four == 0 and six == 0 else flags
    return True


@leaf
def put_names(text, fields, line):  # type: ignore[no-untyped-def]
    """Enter code, IMSI, ICCID and MSISDN of a line; False where they are not plain."""
    first, second = code_of(text, fields[LINE, 0], fields[LINE, 1])
    imsi, msisdn = fields[IMSI, 1] - fields[IMSI, 0], fields[MSISDN, 1] - fields[MSISDN, 0]
    iccid = fields[ICCID, 1] - fields[ICCID, 0]
    long = iccid == 0 or 16 <= iccid <= 22
    if first == 0 or not long or not (imsi == 0 or 5 <= imsi <= 15):
        return False
    if not (msisdn == 0 or 5 <= msisdn <= 15):
        return False
    line["code"][0], line["code"][1] = first, second
    fine, word, rest = number_of(text, fields[IMSI, 0], fields[IMSI, 1])
    line["imsi"] = word
    right, word, rest = number_of(text, fields[MSISDN, 0], fields[MSISDN, 1])
    line["msisdn"] = word
    fine = fine and right
    right, word, rest = number_of(text, fields[ICCID, 0], fields[ICCID, 1])
    line["iccid"], line["iccid_rest"] = word, rest
    return fine and right


@leaf
def teid_of(text, at, end):  # type: ignore[no-untyped-def]
    """A TEID; 0 of an empty field."""
    if at == end:
        return np.int64(0)
    value = integer_of(text, at, end)
    return value if 1 <= value <= TEID_MAX else np.int64(ODD)


@leaf
def put_line(text, fields, line, gateways, state):  # type: ignore[no-untyped-def]
    """Enter what a row says of its line; False where that is not plain."""
    if fields[ROW, 1] != 0 or not put_names(text, fields, line):
        return False
    if not put_addresses(text, fields, line):
        return False
    coupon = flag_of(text, fields[COUPON, 0], fields[COUPON, 1], 1)
    service = flag_of(text, fields[IN_SERVICE, 0], fields[IN_SERVICE, 1], 1)
    balance = volume_of(text, fields[BALANCE_BYTES, 0], fields[BALANCE_BYTES, 1])
    up = teid_of(text, fields[TEID_UP, 0], fields[TEID_UP, 1])
    down = teid_of(text, fields[TEID_DOWN, 0], fields[TEID_DOWN, 1])
    ends = gateway = np.int64(0)
    if fields[ENDS, 0] != fields[ENDS, 1]:
        ends = month_of(text, fields[ENDS, 0], fields[ENDS, 1])
    if fields[GATEWAY, 0] != fields[GATEWAY, 1]:
        gateway = ipv4_of(text, fields[GATEWAY, 0], fields[GATEWAY, 1])
        if up == 0:
            return False
    if coupon < 0 or service < 0 or balance < 0 or up < 0 or down < 0 or ends < 0 or gateway < 0:
        return False
    switched = (TABLE_COUPON_ON if coupon != 0 else 0) | (TABLE_IN_SERVICE if service != 0 else 0)
    line["flags"] |= switched
    line["teid_up"], line["teid_down"] = up, down
    line["balance_bytes"], line["ends"], line["gateway"] = balance, ends, 0
    line["contract"] = state[CONTRACTS] - 1
    gateways[unsigned(state[LINES])] = gateway
    state[HELD] += balance
    return state[HELD] <= HELD_MAX


@leaf
def close(at, plans, contracts, odds, state):  # type: ignore[no-untyped-def]
    """End the contract whose last row ends at `at`, if there is one: enter it among the odd if it is."""
    if state[CONTRACTS] == 0:
        return
    number = state[CONTRACTS] - 1
    contract = contracts[unsigned(number)]
    count = state[LINES] - np.int64(contract["first_line"])
    contract["lines"] = count
    _, places = plans
    if state[BAD] == 0:
        ordered = np.int64(contract["next_plan"])
        fits = count <= places[3 * np.int64(contract["plan"]) + 2]
        if fits and (ordered == 0 or count <= places[3 * ordered - 1]):
            state[VOLUME] += state[HELD]
            return
    state[COUPONS] = np.int64(contract["first_coupon"])
    contract["coupons"] = 0
    entry = odds[unsigned(state[ODDS])]
    entry[0], entry[1], entry[2] = number, state[BEGAN], at
    state[ODDS] += 1


@leaf
def opened(text, at, plans, records, fields, state):  # type: ignore[no-untyped-def]
    """Begin the contract whose first row is in `fields`."""
    for column in range(OF_CONTRACT):
        fields[FIRST + column, 0] = fields[column, 0]
        fields[FIRST + column, 1] = fields[column, 1]
    state[BEGAN], state[HELD] = at, 0
    fine = put_contract(text, fields, plans, records, state)
    state[BAD] = 0 if fine else 1
    state[CONTRACTS] += 1


@kernel(u1s, i8s, PLANS, RECORDS, i8s, i8s2, i8s2, i8s)
def take(text, columns, plans, records, gateways, fields, odds, state):  # type: ignore[no-untyped-def]
    """Read a piece of whole contracts, of over ROWS_MIN rows unless the file ends: WHOLE, MORE or BROKEN.

    columns: which one each field of a row is. Records count from 0; `plan` and `next_plan` are indexes of
    `plans`, and a line's gateway is in `gateways`, as a number, 0 without. Of an odd contract there is
    `first_line` and `lines` only; odds[k]: number of one, begin and end of its rows. state: see AT.
    """
    contracts, lines, _ = records
    at, end = state[AT], state[END]
    state[NEXT:BEGAN] = 0
    known = False
    count = 0
    while at < end or state[FINAL] == 0:
        after = split(text, at, end, state[FINAL] != 0, columns, fields)
        if after < 0:
            return after
        empty = fields[ROW, 0] == 0
        other = empty or state[CONTRACTS] == 0 or not same(text, fields, CONTRACT, FIRST + CONTRACT)
        if count >= state[ROWS_MIN]:
            # Where the piece may end it must be certain which contract a row is of.
            if not empty and fields[ROW, 1] != 0:
                return BROKEN
            if known and other:
                break
            known = not empty
        if not empty:
            if fields[CONTRACT, 0] == fields[CONTRACT, 1] or state[LINES] == len(lines):
                return BROKEN
            if other:
                close(at, plans, contracts, odds, state)
                opened(text, at, plans, records, fields, state)
            elif not repeats(text, fields):
                state[BAD] = 1
            line = lines[unsigned(state[LINES])]
            if state[BAD] == 0 and not put_line(text, fields, line, gateways, state):
                state[BAD] = 1
            state[LINES] += 1
            if state[VOLUME] > BYTES_MAX:
                return BROKEN  # or it might come to exceed 2^63
        at = after
        count += 1
    close(at, plans, contracts, odds, state)
    state[NEXT] = at
    return WHOLE

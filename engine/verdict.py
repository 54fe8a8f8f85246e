"""Verdict codes: what becomes of a packet, one small integer each.

Codes up to `FORWARD_MAX` let the packet out; higher ones drop it, and their names are the reasons in
the report. Every code is named in `NAMES`, and `WORDS` says when it is given.
"""

NONE = 0
CHARGED = 1
SLOW = 2
EXEMPT = 3
FORWARD_MAX = 3

DROP_SHORT = 16
DROP_VERSION = 17
DROP_PROTO = 18
DROP_EXT_LEN = 19
DROP_EXT_COUNT = 20
DROP_EXT_REQUIRED = 21
DROP_EMPTY = 22
DROP_LEN = 23
DROP_NOSEQ = 24
DROP_GTP_IN_GTP = 25
DROP_INFRA = 26
DROP_IHL = 27
DROP_IPVER = 28
DROP_JUMBO = 29
DROP_V6EXT = 30
DROP_SPOOF = 31
DROP_PEER = 32
DROP_TEID = 33
DROP_SUSPENDED = 34
DROP_DETACHED = 35
DROP_QUEUE = 36
DROP_PENDING = 37
DROP_POLICED = 38
DROP_HOLD = 39

NAMES = {
    CHARGED: "charged",
    SLOW: "slow",
    EXEMPT: "exempt",
    DROP_SHORT: "short",
    DROP_VERSION: "version",
    DROP_PROTO: "proto",
    DROP_EXT_LEN: "ext_len",
    DROP_EXT_COUNT: "ext_count",
    DROP_EXT_REQUIRED: "ext_required",
    DROP_EMPTY: "empty",
    DROP_LEN: "len",
    DROP_NOSEQ: "noseq",
    DROP_GTP_IN_GTP: "gtp_in_gtp",
    DROP_INFRA: "infra",
    DROP_IHL: "ihl",
    DROP_IPVER: "ipver",
    DROP_JUMBO: "jumbo",
    DROP_V6EXT: "v6ext",
    DROP_SPOOF: "spoof",
    DROP_PEER: "peer",
    DROP_TEID: "teid",
    DROP_SUSPENDED: "suspended",
    DROP_DETACHED: "detached",
    DROP_QUEUE: "queue",
    DROP_PENDING: "pending",
    DROP_POLICED: "policed",
    DROP_HOLD: "hold",
}

WORDS = {
    CHARGED: "out at high speed, charged to the SIM's balance (P1)",
    SLOW: "out in the slow state, nothing charged (P2)",
    EXEMPT: "out at high speed, exempt from charging and slowing (X1)",
    DROP_SHORT: "a header runs past the end of the packet",
    DROP_VERSION: "GTP version is not 1",
    DROP_PROTO: "GTP' (protocol type 0) where GTP was expected",
    DROP_EXT_LEN: "a GTP extension header of length 0, or longer than the message",
    DROP_EXT_COUNT: "more than 8 GTP extension headers",
    DROP_EXT_REQUIRED: "an unknown GTP extension header that must be understood",
    DROP_EMPTY: "a G-PDU without a payload",
    DROP_LEN: "a length field that contradicts the bytes that are there",
    DROP_NOSEQ: "an Echo Request without a sequence number",
    DROP_GTP_IN_GTP: "a tunnelled packet that is itself addressed to a GTP-U port (N7)",
    DROP_INFRA: "a tunnelled packet addressed to the operator's own nodes (GTP-C, PFCP)",
    DROP_IHL: "IPv4 header length below 20 bytes or past the packet",
    DROP_IPVER: "the payload is neither IPv4 nor IPv6",
    DROP_JUMBO: "IPv6 with payload length 0, or a jumbogram option",
    DROP_V6EXT: "an IPv6 extension header chain that is too long, broken or forbidden",
    DROP_SPOOF: "the inner source is not the session's address (N7), or can be nobody's",
    DROP_PEER: "a known TEID, but from or to the wrong outer address",
    DROP_TEID: "no session has this TEID or address (N7)",
    DROP_SUSPENDED: "the line is suspended (L1)",
    DROP_DETACHED: "the line has no open session",
    DROP_QUEUE: "the SIM's queue is full: dropped from its tail (P4)",
    DROP_PENDING: "the coupon database has not answered, and the setting is to drop meanwhile (pending)",
    DROP_POLICED: 'marked red, or yellow where yellow is not let through (limiter = "police")',
    DROP_HOLD: "the live gateway has no room left for packets that wait, and the SIM has some waiting",
}
"""what each code means, and in brackets the rule or the setting behind it"""

CODES = 64
"""size of a table indexed by code"""

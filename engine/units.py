"""Units, in one place. Sizes of data are binary, speeds are decimal (RULES U1)."""

KIB = 1 << 10
MB = 1 << 20
"""bytes; the service's megabyte is 2^20 bytes (U1)"""
GB = 1 << 30
"""bytes; the service's gigabyte is 2^30 bytes (U1)"""

BITS_PER_BYTE = 8

KBIT_PER_S = 1_000
"""bit/s"""
MBIT_PER_S = 1_000_000
"""bit/s"""

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_S

CREDIT_PER_BYTE = BITS_PER_BYTE * NS_PER_S
"""bit-ns of limiter credit that one byte costs: credit is counted in bits times nanoseconds"""

JST_OFFSET_NS = 9 * 3600 * NS_PER_S
"""ns; Japan is UTC+9 all year round (U2)"""

SLICE_BYTES_MAX = 10 * MB
"""bytes; the coupon database hands out slices of this size at the most (D1, I2)"""

IP_LENGTH_MAX = 65_535 + 40
"""bytes; the longest IP packet without a jumbogram: an IPv6 header and a full payload"""

"""CSV subscriber files that are mostly right, written in every way that people and programs write them."""

import csv
import io
from random import Random

from engine.subscribers.csvbook import COLUMNS, CONTRACT_COLUMNS

MUCH = "bundle:999999999999999999:2013-12 "
# Column -> what may stand there instead of the plain value, | between them, and is right as a rule.
FINE: dict[str, str] = {
    "plan": "family-share|\tfamily-share",
    "started": "2012-02-29|2000-02-29|2013-12-31|1970-01-01|2261-12-31|2013-03-01\x0b",
    "mio_id": 'MA00000001|xxxxxxxxxxxx|7|"|a,b',
    "coupons": (
        "none|topup:+7:2014-01  bundle:007:2013-12|bundle:999999999999999999:2013-12|"
        "bundle:5:2013-12\ttopup:5:2013-12|bundle:0000000000000000000009:2013-12"
    ),
    "contract_ends": "2014-01|2261-12|1970-01|2013-11\xa0",
    "next_plan": "family-share:2014-01|family-share:2261-12",
    "ipv6": "true|TRUE|False",
    "imsi": "|440100000000077\t",
    "iccid": "",
    "msisdn": "|0900000077\x0c",
    "coupon": "true|FALSE|fAlse",
    "balance_bytes": "0|+5|-0|007|999999999999999999|0000000000000000000005",
    "addresses": (
        "|10.0.0.9/32|223.255.255.255|2001:DB8:0:1::/64|2001:db8::/64|2001::/64|"
        "2001:db8:0:1:0:0:0:0/64|fd00::/64 10.0.0.7|10.0.0.7  fd00::/64|0:0:0:1::/64|"
        "1:2:3:4::/64|10.0.0.7\u3000fd00::/64|8000::/64|7fff:ffff::/64|"
        "1:2:3:4::0.0.0.0/64"
    ),
    "teid_up": "|1|+258|0259|4294967295|-0",
    "teid_down": "|1|+258|0259|4294967295|00000000000000000000012",
    "gateway": "|192.0.2.1|192.0.2.2|2001:db8::1|2001:DB8::1|2001:db8::2",
    "in_service": "true|false|False",
    "ends": "2014-01|1970-01|2261-12",
}
# The same with what is refused, and with what a table cannot hold.
OTHERS: dict[str, str] = {
    "contract": "hdd 1|123|xxxxxxxxxxxxxxxx|xxxxxxxxxxxxxxxxx|c\xe9||a\tb|hdd1|hdd\xa0",
    "plan": "family-share|minimum-start|giga|light-star||light-start ",
    "started": (
        "2012-02-29|2013-02-29|2100-02-29|2000-02-29|2013-04-31|2013-12-31|"
        "1970-01-01|2261-12-31|1969-12-31|2262-01-01|20131101|2013-1-1||xxxxxxxxxx|"
        "2013-11-00|2013-00-01|2013/11/01|2013-11/01|2013-13-01"
    ),
    "mio_id": "MA00000001|xxxxxxxxxxxx|xxxxxxxxxxxxx|a b|\xe9|7",
    "coupons": (
        "none|None|bundle:5:2013-12|topup:+7:2014-01  bundle:007:2013-12|"
        "bundle:-1:2013-12|bundle:5:2013-13|gift:5:2013-12|bundle:5|"
        "bundle:5:2013-12:9|bundle:4611686018427387904:2013-12|"
        f"{MUCH * 3}|"
        ":5:2013-12|bundle::2013-12|none none|bundle:5:2013-12\ttopup:5:2013-12|"
        "bundle:5:1969-12|"
        f"{MUCH * 5}"
    ),
    "contract_ends": "2014-01|2014-1|2261-12|2262-01|x|2014/01",
    "next_plan": (
        "family-share:2014-01|minimum-start:2014-02|giga:2014-01|light-start|"
        ":2014-01|light-start:2014-13|light-start:|x:light-start:2014-01"
    ),
    "ipv6": "true|TRUE|False|1|yes|trues|truefals",
    "line": "440100000000001|hdo1||yyyyyyyyyyyyyyyy|yyyyyyyyyyyyyyyyy|z z|\xfc",
    "imsi": (
        "|12345|1234|1234567890123456|44010000000000x|440100000000001|"
        "\uff11\uff12\uff13\uff14\uff15"
    ),
    "iccid": (
        "|8981030000000000|898103000000000|8888888888888888888888|"
        "88888888888888888888888|89810300000000000x"
    ),
    "msisdn": "|09000000001|0900|000000000000000|0000000000000000|+819012345678",
    "coupon": "true|FALSE|fAlse|0|nope|falsefal",
    "balance_bytes": (
        "0|+5|-0|-5|007|999999999999999999|4611686018427387904|4611686018427387905|"
        "1.5|+|99999999999999999999999999999999999999999|2305843009213693952"
    ),
    "addresses": (
        "|10.0.0.1|10.0.0.01|010.0.0.1|10.0.0|10.0.0.0.1|10.0.0.256|0.0.0.0|"
        "224.0.0.1|223.255.255.255|10.0.0.9/32|10.0.0.9/24|10.0.0.1 10.0.0.2|"
        "2001:db8:0:1::/64|2001:DB8:0:1::/64|2001:db8::/64|2001::/64|::/64|ff02::/64|"
        "2001:db8:0:1::1/64|2001:db8:0:1::|2001:db8:0:1:0:0:0:0/64|"
        "2001:db8:0:1:2::/64|2001:db8:00001:1::/64|fd00::/64 10.0.0.7|"
        "10.0.0.7  fd00::/64|0:0:0:1::/64|::1/64|1:2:3:4::5::/64|fe80::1%eth0|"
        "::ffff:10.0.0.1|1:2:3:4::/64|1::2:3::/64|:1::/64|fd00::/65|fd00::/6|g::/64|"
        "10..0.1|10.0.0.|.10.0.0|1000.0.0.1|/32|::|fd00:0:0:0::/64 fd00:0:0:1::/64|"
        "10.0.0.7\u3000fd00::/64|8000::/64|7fff:ffff::/64"
    ),
    "teid_up": "|0|1|257|+258|0259|4294967295|4294967296|-1|1e3| 260",
    "teid_down": "|0|1|257|+258|0259|4294967295|4294967296|0x10",
    "gateway": "|192.0.2.1|192.0.2.2|2001:db8::1|2001:DB8::1|gw1|0.0.0.0|239.0.0.1",
    "in_service": "true|false|False|no",
    "ends": "2014-01|2013-00|1970-01|2014-01-01",
}


def _plain(random: Random, column: str, number: int, contract: int, first: bool) -> str:
    """What stands in a column when nothing is odd."""
    said = {
        "contract": f"hdd{contract:04}",
        "plan": "family-share" if first or random.random() < 0.3 else "",
        "started": "2013-11-01" if first or random.random() < 0.3 else "",
        "line": f"hdo{number:04}",
        "imsi": f"44010{number:010}",
        "iccid": f"898103{number:013}",
        "msisdn": f"090{number:08}",
        "addresses": f"10.1.{number >> 8}.{number & 255}",
        "teid_up": str(1000 + 2 * number),
        "teid_down": str(1001 + 2 * number),
        "gateway": random.choice(["", "192.0.2.1", "192.0.2.9"]),
        "coupons": "bundle:5:2013-12" if first and contract % 3 == 0 else "",
    }
    return said.get(column, "")


def _columns(random: Random) -> list[str]:
    needed = ["contract", "plan", "started", "line"]
    rest = [column for column in COLUMNS if column not in needed]
    chosen = needed + random.sample(rest, random.choice([0, 3, 8, len(rest)]))
    if random.random() < 0.8:
        random.shuffle(chosen)
    odd = random.random()
    if odd < 0.02:
        chosen.append(random.choice(chosen))
    elif odd < 0.04:
        chosen.append(random.choice(["colour", "", "Plan"]))
    elif odd < 0.06:
        chosen.remove(random.choice(needed))
    return chosen


def _rows(random: Random, columns: list[str], oddness: float) -> list[list[str]]:
    rows: list[list[str]] = []
    said = random.choice([FINE, FINE, OTHERS])
    number = 0
    for contract in range(random.choice([0, 1, 2, 5, 12])):
        start = len(rows)
        for first in [True] + [False] * random.choice([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3]):
            number += 1
            row = [_plain(random, column, number, contract, first) for column in columns]
            for k, column in enumerate(columns):
                again = not first and column in CONTRACT_COLUMNS and random.random() < 0.5
                if again:
                    row[k] = rows[start][k]
                if random.random() < oddness:
                    row[k] = random.choice(said.get(column, row[k]).split("|"))
            rows.append(row)
    if random.random() < 0.5:
        return rows
    if rows and random.random() < 0.1:
        rows.append(random.choice(rows))
    if rows and random.random() < 0.1:
        rows.insert(random.randrange(len(rows)), rows.pop(random.randrange(len(rows))))
    if len(rows) > 1 and random.random() < 0.15:
        k, at = random.randrange(len(rows)), random.randrange(len(columns))
        rows[k][at] = rows[k - 1][at]
    return rows


def _text(random: Random, table: list[list[str]]) -> str:
    """The table with quotes, blanks, empty lines and ends of lines as some program might write them."""
    ending = random.choice(["\n", "\n", "\r\n", "\r"] if random.random() < 0.1 else ["\n", "\r\n"])
    quoted = random.random() < 0.3
    blanks, empty = random.choice([0, 0, 0.1]), random.choice([0, 0, 0.1])
    lines = []
    for row in table:
        made = io.StringIO()
        padded = [f" {field} " if random.random() < blanks else field for field in row]
        csv.writer(
            made, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, lineterminator=ending
        ).writerow(padded)
        lines.append(made.getvalue())
        if random.random() < empty:
            lines.append(ending)
    text = "".join(lines)
    return text.removesuffix(ending) if random.random() < 0.2 else text


def _spoilt(random: Random, octets: bytes) -> bytes:
    """A few octets changed somewhere."""
    parts = [bytes([octet]) for octet in b'",\r\n \t\0\xff\x7f0'] + [b'""', b"\xc3\xa9", b""]
    for _ in range(random.choice([1, 1, 2])):
        at = random.randrange(len(octets) + 1)
        octets = octets[:at] + random.choice(parts) + octets[at + random.choice([0, 1]) :]
    return octets


def written(random: Random) -> bytes:
    """A CSV subscriber file."""
    columns = _columns(random)
    oddness = random.choice([0, 0, 0.005, 0.02, 0.1])
    octets = _text(random, [columns, *_rows(random, columns, oddness)]).encode()
    if random.random() < 0.15:
        octets = b"\xef\xbb\xbf" + octets
    return _spoilt(random, octets) if random.random() < 0.15 else octets

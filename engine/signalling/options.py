"""Protocol Configuration Options (TS 24.008 10.5.6.3): what a terminal asks the gateway, and its answers.

PAP is RFC 1334 2.2, CHAP RFC 1994 4, IPCP RFC 1332 with the name servers of RFC 1877.
"""

from dataclasses import replace
from typing import Any

from engine.errors import UsageError
from engine.signalling.elements import bad, pack4, pack6, text4, text6
from engine.signalling.messages import Chap, Options, Pap

IPCP, PAP, CHAP = 0x8021, 0xC023, 0xC223
DNS6, DNS4 = 0x0003, 0x000D
BYTES_MAX = 251
"""contents of the element, TS 24.008"""

CONFIGURE_REQUEST, CONFIGURE_ACK, CONFIGURE_NAK, CONFIGURE_REJECT = 1, 2, 3, 4
_ADDRESS, _DNS_FIRST, _DNS_SECOND = 3, 129, 131
_PPP_FOR_IP = 0x80


def read(body: bytes) -> Options:
    """The options in `body`; of what stands there twice the first counts, but for servers."""
    if not 1 <= len(body) <= BYTES_MAX:
        raise bad(f"has {len(body)} octets, at most {BYTES_MAX} are allowed")
    found: dict[str, Any] = {}
    protocols: list[int] = []
    challenges: dict[int, bytes] = {}
    dns: list[str] = []
    at = 1
    while at < len(body):
        end = at + 3 + body[at + 2] if at + 3 <= len(body) else len(body) + 1
        if end > len(body):
            raise bad("has a container that runs past its end")
        protocol, content = body[at] << 8 | body[at + 1], body[at + 3 : end]
        protocols.append(protocol)
        if protocol in (DNS4, DNS6):
            _server(protocol, content, dns, found)
        elif protocol == PAP:
            _read_pap(content, found)
        elif protocol == CHAP:
            _read_chap(content, challenges, found)
        elif protocol == IPCP:
            _read_ipcp(content, found)
        at = end
    return Options(protocols=tuple(protocols), dns=tuple(dns), **found)


def _server(protocol: int, content: bytes, dns: list[str], found: dict[str, Any]) -> None:
    size = 4 if protocol == DNS4 else 16
    if not content:
        found["wants_dns4" if protocol == DNS4 else "wants_dns6"] = True
    elif len(content) == size:
        dns.append(text4(content) if protocol == DNS4 else text6(content))
    else:
        raise bad(f"has a name server of {len(content)} octets")


def _packet(content: bytes) -> tuple[int, int, bytes]:
    """(code, identifier, data) of a PPP packet, whose own length must be that of its container."""
    if len(content) < 4 or content[2] << 8 | content[3] != len(content):
        raise bad("has a PPP packet whose length is not that of its container")
    return content[0], content[1], content[4:]


def _counted(data: bytes, at: int) -> tuple[bytes, int]:
    """The octets behind a count of one octet, and where they end."""
    end = at + 1 + data[at] if at < len(data) else len(data) + 1
    if end > len(data):
        raise bad("has a PPP value that runs past its packet")
    return data[at + 1 : end], end


def _read_pap(content: bytes, found: dict[str, Any]) -> None:
    code, identifier, data = _packet(content)
    if code == 1:
        user, at = _counted(data, 0)
        password, _ = _counted(data, at)
        found.setdefault("pap", Pap(user, password, identifier))
    elif code in (2, 3):
        found.setdefault("auth_answer", (code == 2, identifier, PAP))


def _read_chap(content: bytes, challenges: dict[int, bytes], found: dict[str, Any]) -> None:
    """The response belongs to the challenge with its identifier, which stands before it."""
    code, identifier, data = _packet(content)
    if code == 1:
        challenges.setdefault(identifier, _counted(data, 0)[0])
    elif code == 2:
        response, at = _counted(data, 0)
        chap = Chap(data[at:], challenges.get(identifier, b""), response, identifier)
        found.setdefault("chap", chap)
    elif code in (3, 4):
        found.setdefault("auth_answer", (code == 3, identifier, CHAP))


def _read_ipcp(content: bytes, found: dict[str, Any]) -> None:
    asked = ipcp_options(content)
    found.setdefault("ipcp", content)
    if content[0] == CONFIGURE_REQUEST and {_DNS_FIRST, _DNS_SECOND} & {kind for kind, _ in asked}:
        found["wants_dns4"] = True


def ipcp_options(content: bytes) -> list[tuple[int, bytes]]:
    """(type, data) of each option of an IPCP packet."""
    _, _, data = _packet(content)
    options, at = [], 0
    while at < len(data):
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            raise bad("has an IPCP option that runs past its packet")
        options.append((data[at], data[at + 2 : at + size]))
        at += size
    return options


def _ppp(code: int, identifier: int, data: bytes) -> bytes:
    return bytes([code, identifier]) + (4 + len(data)).to_bytes(2, "big") + data


def _value(octets: bytes) -> bytes:
    if len(octets) > 255:
        raise UsageError(f"{len(octets)} octets do not fit a PPP value")
    return bytes([len(octets)]) + octets


def _contents(options: Options) -> list[tuple[int, bytes]]:
    """What is to be written, in the order in which terminals and gateways have it."""
    rows: list[tuple[int, bytes]] = []
    if options.ipcp is not None:
        rows.append((IPCP, options.ipcp))
    if (pap := options.pap) is not None:
        rows.append((PAP, _ppp(1, pap.identifier, _value(pap.user) + _value(pap.password))))
    if (chap := options.chap) is not None:
        if chap.challenge:
            rows.append((CHAP, _ppp(1, chap.identifier, _value(chap.challenge) + chap.user)))
        rows.append((CHAP, _ppp(2, chap.identifier, _value(chap.response) + chap.user)))
    if options.auth_answer is not None:
        ok, identifier, protocol = options.auth_answer
        if protocol == PAP:  # with the empty text that RFC 1334 2.2.2 asks for
            rows.append((PAP, _ppp(2 if ok else 3, identifier, b"\0")))
        else:
            rows.append((CHAP, _ppp(3 if ok else 4, identifier, b"")))
    wanted = ((DNS6, options.wants_dns6), (DNS4, options.wants_dns4))
    rows += [(protocol, b"") for protocol, wants in wanted if wants]
    for server in options.dns:
        rows.append((DNS6, pack6(server)) if ":" in server else (DNS4, pack4(server)))
    return rows


def write(options: Options) -> bytes:
    """The element's contents; `options.protocols` is for reading only. UsageError where it is too long."""
    rows = _contents(options)
    if any(len(content) > 255 for _, content in rows):
        raise UsageError("protocol configuration options: a container has more than 255 octets")
    body = b"".join(
        protocol.to_bytes(2, "big") + bytes([len(content)]) + content for protocol, content in rows
    )
    if 1 + len(body) > BYTES_MAX:
        raise UsageError(f"protocol configuration options: {1 + len(body)} octets are too many")
    return bytes([_PPP_FOR_IP]) + body


def answer(
    asked: Options | None, dns: tuple[str, ...], ok: bool = True, address4: str | None = None
) -> Options | None:
    """The options with which a gateway answers those of a request; None where nothing was asked.

    `dns`: its name servers of both families; `ok`: whether the terminal may come in; `address4`: what it
    was given.
    """
    if asked is None:
        return None
    said: dict[str, Any] = {}
    if asked.pap is not None:
        said["auth_answer"] = (ok, asked.pap.identifier, PAP)
    elif asked.chap is not None:
        said["auth_answer"] = (ok, asked.chap.identifier, CHAP)
    servers4 = [server for server in dns if ":" not in server]
    if asked.ipcp is not None and asked.ipcp[0] == CONFIGURE_REQUEST:
        said["ipcp"] = _ipcp_answer(asked.ipcp, servers4, address4)
    kept = [s for s in dns if (asked.wants_dns6 if ":" in s else asked.wants_dns4)]
    given = replace(Options(dns=tuple(kept)), **said)
    return given if _contents(given) else None


def _ipcp_answer(request: bytes, servers4: list[str], address4: str | None) -> bytes:
    """Ack of a Configure-Request that asks for what is given, else Nak with it.

    A terminal gets no second try within the options: what is refused is told (Reject) only where there is
    nothing to give.
    """
    give = {_ADDRESS: address4, **dict(zip((_DNS_FIRST, _DNS_SECOND), servers4, strict=False))}
    better, refused = b"", b""
    for kind, data in ipcp_options(request):
        value = give.get(kind)
        if value is None:
            refused += bytes([kind, 2 + len(data)]) + data
        elif pack4(value) != data:
            better += bytes([kind, 6]) + pack4(value)
    if better:
        return _ppp(CONFIGURE_NAK, request[1], better)
    if refused:
        return _ppp(CONFIGURE_REJECT, request[1], refused)
    return _ppp(CONFIGURE_ACK, request[1], request[4:])

"""User name and password of a session, as PAP or CHAP in the Protocol Configuration Options (N1)."""

import hashlib
import hmac
from typing import NamedTuple

from engine.config import Access
from engine.signalling.messages import Chap, Options, Pap

PAP, CHAP = 0xC023, 0xC223
"""PPP protocols (RFC 1334 2.2, RFC 1994 3)"""


class Authentication(NamedTuple):
    """Whether name and password are the service's; `answer` as of `Options.auth_answer`."""

    right: bool
    answer: tuple[bool, int, int] | None = None


def authenticate(options: Options | None, access: Access) -> Authentication:
    """Neither PAP nor CHAP is not right. With both, CHAP is what counts: it is the stronger."""
    if options is not None and options.chap is not None:
        chap = options.chap
        right = _chap(chap, access)
        return Authentication(right, (right, chap.identifier, CHAP))
    if options is not None and options.pap is not None:
        pap = options.pap
        right = _pap(pap, access)
        return Authentication(right, (right, pap.identifier, PAP))
    return Authentication(False)


def _pap(pap: Pap, access: Access) -> bool:
    user = hmac.compare_digest(pap.user, access.user.encode())
    return hmac.compare_digest(pap.password, access.password.encode()) and user


def _chap(chap: Chap, access: Access) -> bool:
    """RFC 1994 4.1: MD5 over identifier, secret and challenge; an empty challenge proves nothing."""
    said = bytes([chap.identifier]) + access.password.encode() + chap.challenge
    digest = hashlib.md5(said, usedforsecurity=False).digest()
    user = hmac.compare_digest(chap.user, access.user.encode())
    return hmac.compare_digest(chap.response, digest) and user and bool(chap.challenge)

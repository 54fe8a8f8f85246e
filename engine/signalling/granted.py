"""What an answer grants of what was asked, in the words of a session; of both versions."""

from dataclasses import replace

from engine.signalling.messages import Bearer, Fteid, Message
from engine.signalling.sessions import End

ACCEPTED = {1: frozenset((128, 129, 130)), 2: frozenset((16, 17, 18, 19))}
"""causes that accept, by version (TS 29.060 7.7.1, TS 29.274 8.4)"""
NOT_FOUND = {1: 192, 2: 64}


def accepted(answer: Message) -> bool:
    """Whether the answer grants what was asked."""
    return answer.cause in ACCEPTED[answer.version]


def gone(answer: Message) -> bool:
    """Whether what was to be deleted is not there any more, perhaps for longer."""
    return accepted(answer) or answer.cause == NOT_FOUND[answer.version]


def granted(asked: Message, answer: Message) -> tuple[Bearer, ...]:
    """The bearers of an answer that it does not refuse.

    In version 1 an answer need not repeat the NSAPI; it is that of its request.
    """
    found = tuple(
        b for b in answer.bearers if b.cause is None or b.cause in ACCEPTED[answer.version]
    )
    if answer.version == 1 and asked.bearers:
        return tuple(replace(b, bearer_id=asked.bearers[0].bearer_id) for b in found)
    return found


def offered(asked: Message, bearer: Bearer, at: int) -> tuple[Bearer, ...]:
    """The offer of a Create Bearer Request that bearer number `at` of the answer is about.

    The two share an F-TEID; where they do not, they stand at the same place. It gets the identity that
    the answer gives.
    """
    ends = set(bearer.fteids)
    shared = [offer for offer in asked.bearers if ends.intersection(offer.fteids)]
    offers = shared[:1] or asked.bearers[at : at + 1]
    return tuple(replace(offer, bearer_id=bearer.bearer_id) for offer in offers)


def ends_of(fteid: Fteid | None, node: str | None = None) -> tuple[End, ...]:
    """The control-plane ends that an F-TEID names, that at the node's own address among them."""
    if fteid is None or fteid.teid == 0:
        return ()
    named = (fteid.ipv4, fteid.ipv6, node)
    return tuple(dict.fromkeys((address, fteid.teid) for address in named if address))


def addresses_of(*messages: Message | None) -> tuple[str, ...]:
    """What the terminal was given, as the first of these messages that names anything has it."""
    for message in messages:
        if message is not None:
            found = tuple(a for a in (message.address4, message.address6) if a)
            if found:
                return found
    return ()

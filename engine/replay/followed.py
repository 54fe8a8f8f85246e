"""What a report says of the sessions that a replay followed."""

from typing import Any

from engine.replay.learnt import LISTED_MAX, Learner
from engine.runtime import Engine
from engine.signalling.sessions import Session
from engine.wire.capture import Capture
from engine.words import CONTROL_NOT_USER

REFUSALS = {
    "unknown": "are of SIMs that nobody has entered; their packets are billed by address, if at all",
    "suspended": "are of suspended SIMs; their packets are dropped",
    "replaced": "are of cards that were replaced; their packets are dropped",
    "ended": "are of lines that have ended; their packets are dropped",
    "no-ipv6": "have an IPv6 prefix without the option for it; their IPv6 packets are dropped (O1)",
    "unnamed": "name no IMSI; their packets are billed by address, if at all",
}
"""by why a session was not opened as it is in the capture"""


def document(learner: Learner) -> list[dict[str, Any]]:
    """The sessions of a replay, in the order of opening."""
    return [_session(session, learner.lines.get(session)) for session in learner.sessions]


def _session(session: Session, line: str | None) -> dict[str, Any]:
    return {
        "imsi": session.imsi,
        "msisdn": session.msisdn,
        "line": line,
        "apn": session.apn,
        "rat_type": session.rat,
        "addresses": list(session.addresses),
        "version": session.version,
        "opened_ns": session.opened_ns,
        "closed_ns": session.closed_ns,
        "close_cause": session.cause,
        "tunnels": [
            {
                "teid": tunnel.teid,
                "receiver": tunnel.receiver,
                "direction": tunnel.direction,
                "interface": tunnel.interface,
            }
            for tunnel in session.seen
        ],
    }


def notices(learner: Learner, engine: Engine, captures: list[Capture]) -> list[str]:
    """What a person should hear of them, and of messages that were of no use."""
    counters, found = learner.follower.counters, []
    count = len(learner.sessions) + learner.unlisted
    if count:
        halves = sum(session.half for session in learner.sessions)
        sessions = "session was" if count == 1 else "sessions were"
        found.append(
            f"{count} {sessions} followed in {learner.messages} control messages"
            + (f", {halves} of them from requests alone: no answers are there" if halves else "")
        )
    aside = int(engine.control[CONTROL_NOT_USER])
    if aside and count:
        found.append(
            f"{aside} packets are in tunnels of sessions that are billed elsewhere on their way; they are "
            "not billed again"
        )
    for reason, words in REFUSALS.items():
        if learner.refusals[reason]:
            found.append(f"{learner.refusals[reason]} sessions {words}")
    cut = sum(capture.cut_signals for capture in captures)
    useless = {
        "are cut short or fragmented in the capture": cut,
        "cannot be read": sum(learner.broken.values()),
        "are about sessions from before the capture, and name no SIM": counters["before"],
        "answer requests that are not in the capture": counters["unasked"],
    }
    found += [
        f"{n} control messages {words}; they were not followed" for words, n in useless.items() if n
    ]
    return found


def warnings(learner: Learner) -> list[str]:
    """What of the captures was not done for want of room."""
    found = []
    if learner.unlisted:
        found.append(f"{learner.unlisted} sessions beyond the first {LISTED_MAX} are not listed")
    crowded = learner.follower.counters["crowded"]
    if crowded:
        found.append(f"{crowded} sessions were not followed: too many are open at a time")
    if learner.follower.evicted:
        found.append(
            f"{learner.follower.evicted} control messages wait for an answer at a time that cannot be "
            "remembered; sessions may be missing"
        )
    return found

"""The session of a terminal as its S-GW or SGSN sees it: one table of states and signals."""

from enum import StrEnum


class State(StrEnum):
    """Where a terminal's session is."""

    IDLE = "idle"
    ATTACHING = "attaching"
    ATTACHED = "attached"
    MODIFYING = "modifying"
    DETACHING = "detaching"
    REFUSED = "refused"
    LOST = "lost"


class Signal(StrEnum):
    """What can happen to it: the terminal's wishes first, then what the gateway says, or does not."""

    ATTACH = "attach"
    MOVE = "move"
    DETACH = "detach"
    CREATED = "created"
    CREATE_REFUSED = "create refused"
    MODIFIED = "modified"
    MODIFY_REFUSED = "modify refused"
    DELETED = "deleted"
    DELETE_REFUSED = "delete refused"
    CONTEXT_GONE = "context gone"
    GATEWAY_DELETES = "gateway deletes"
    ERROR_INDICATION = "error indication"
    GATEWAY_RESTARTED = "gateway restarted"
    TIMEOUT = "timeout"
    UNSUPPORTED = "version not supported"


class Action(StrEnum):
    """What is done on the way."""

    NONE = "none"
    SEND_CREATE = "send create"
    SEND_MODIFY = "send modify"
    SEND_DELETE = "send delete"
    OPEN = "open"
    """keep what the gateway gave: address, TEIDs, name servers"""
    TAKE_PATH = "take path"
    """the new ends of the tunnel are in use"""
    KEEP_PATH = "keep path"
    """the old ends of the tunnel stay in use"""
    NOTE = "note"
    """keep the cause of a refusal"""
    CLOSE = "close"
    """forget the session"""
    ANSWER_DELETE = "answer delete"
    """answer the gateway that its deletion was taken"""
    ANSWER_AND_CLOSE = "answer and close"


TABLE: dict[tuple[State, Signal], tuple[State, Action]] = {
    (State.IDLE, Signal.ATTACH): (State.ATTACHING, Action.SEND_CREATE),
    (State.REFUSED, Signal.ATTACH): (State.ATTACHING, Action.SEND_CREATE),
    (State.LOST, Signal.ATTACH): (State.ATTACHING, Action.SEND_CREATE),
    # A terminal that was switched off without a word attaches anew; the gateway replaces the old session.
    (State.ATTACHED, Signal.ATTACH): (State.ATTACHING, Action.SEND_CREATE),
    (State.ATTACHING, Signal.CREATED): (State.ATTACHED, Action.OPEN),
    (State.ATTACHING, Signal.CREATE_REFUSED): (State.REFUSED, Action.NOTE),
    (State.ATTACHING, Signal.CONTEXT_GONE): (State.REFUSED, Action.NOTE),
    (State.ATTACHING, Signal.UNSUPPORTED): (State.REFUSED, Action.NOTE),
    (State.ATTACHING, Signal.TIMEOUT): (State.LOST, Action.CLOSE),
    # Its request may have reached the gateway before or after the restart: the answer will tell.
    (State.ATTACHING, Signal.GATEWAY_RESTARTED): (State.ATTACHING, Action.NONE),
    # It had accepted, and its answer was lost: to ask again would bring that old answer.
    (State.ATTACHING, Signal.GATEWAY_DELETES): (State.IDLE, Action.ANSWER_AND_CLOSE),
    (State.ATTACHED, Signal.MOVE): (State.MODIFYING, Action.SEND_MODIFY),
    (State.ATTACHED, Signal.DETACH): (State.DETACHING, Action.SEND_DELETE),
    (State.ATTACHED, Signal.GATEWAY_DELETES): (State.IDLE, Action.ANSWER_AND_CLOSE),
    (State.ATTACHED, Signal.ERROR_INDICATION): (State.LOST, Action.CLOSE),
    (State.ATTACHED, Signal.GATEWAY_RESTARTED): (State.LOST, Action.CLOSE),
    (State.MODIFYING, Signal.MODIFIED): (State.ATTACHED, Action.TAKE_PATH),
    (State.MODIFYING, Signal.MODIFY_REFUSED): (State.ATTACHED, Action.KEEP_PATH),
    (State.MODIFYING, Signal.CONTEXT_GONE): (State.LOST, Action.CLOSE),
    (State.MODIFYING, Signal.DETACH): (State.DETACHING, Action.SEND_DELETE),
    (State.MODIFYING, Signal.GATEWAY_DELETES): (State.IDLE, Action.ANSWER_AND_CLOSE),
    (State.MODIFYING, Signal.ERROR_INDICATION): (State.LOST, Action.CLOSE),
    (State.MODIFYING, Signal.GATEWAY_RESTARTED): (State.LOST, Action.CLOSE),
    (State.MODIFYING, Signal.TIMEOUT): (State.LOST, Action.CLOSE),
    (State.MODIFYING, Signal.UNSUPPORTED): (State.LOST, Action.CLOSE),
    (State.DETACHING, Signal.DELETED): (State.IDLE, Action.CLOSE),
    (State.DETACHING, Signal.CONTEXT_GONE): (State.IDLE, Action.CLOSE),
    (State.DETACHING, Signal.DELETE_REFUSED): (State.LOST, Action.CLOSE),
    # Both ends delete at once: the answer to the terminal's own request is still awaited.
    (State.DETACHING, Signal.GATEWAY_DELETES): (State.DETACHING, Action.ANSWER_DELETE),
    (State.DETACHING, Signal.ERROR_INDICATION): (State.DETACHING, Action.NONE),
    (State.DETACHING, Signal.GATEWAY_RESTARTED): (State.DETACHING, Action.NONE),
    (State.DETACHING, Signal.TIMEOUT): (State.LOST, Action.CLOSE),
    (State.DETACHING, Signal.UNSUPPORTED): (State.LOST, Action.CLOSE),
}
"""(state, signal) -> (next state, action); what is not here is a fault of the protocol"""


def markdown() -> str:
    """The table as it stands in docs/simulator.md."""
    lines = ["| state | signal | next state | action |", "| --- | --- | --- | --- |"]
    for (state, signal), (after, action) in TABLE.items():
        lines.append(f"| {state} | {signal} | {after} | {action} |")
    return "\n".join(lines) + "\n"

"""Requests under way over one connection: which are out, which answer is whose, what to repeat; no sockets.

Requests leave in the order of their ids and each names the one before it, so the server carries them out in
that order or not at all, whatever gets lost on the way.
"""

from collections import OrderedDict
from typing import Any

from engine.service import protocol
from engine.service.protocol import NO_AFTER, NO_ID, OUT_OF_ORDER, SLOW_DOWN, Answer, Request
from engine.service.replies import Frames
from engine.service.verbs import LOOKS

TAKEN, AGAIN, PASSED = "taken", "again", "passed"


class Pipeline:
    """What a client has asked and not claimed the answer of; `name` is the client's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._next_id = 0
        self._last_id = NO_AFTER
        self._out: OrderedDict[int, Frames] = OrderedDict()
        self._answers: dict[int, Answer] = {}

    def start(self, last_id: int) -> None:
        """The server knows this client's requests up to `last_id`."""
        self._next_id = last_id + 1
        self._last_id = last_id

    def ask(self, verb: str, args: dict[str, Any], body: bytes | memoryview = b"") -> int:
        """Make a request; its id. `frames` has what is to be sent."""
        after = NO_AFTER if verb in LOOKS else self._last_id
        request = Request(self.name, self._next_id, verb, args, body, after)
        self._out[self._next_id] = protocol.encode_request(request)
        if verb not in LOOKS:
            self._last_id = self._next_id
        self._next_id += 1
        return request.request_id

    def __len__(self) -> int:
        """Requests without an answer."""
        return len(self._out)

    def answered(self, request_ids: list[int]) -> bool:
        """Whether all of these have their answers."""
        return all(request_id in self._answers for request_id in request_ids)

    def frames(self, request_id: int) -> Frames:
        """The message of a request that is out."""
        return self._out[request_id]

    def unanswered(self) -> list[Frames]:
        """The messages to send again over a new connection, in their order."""
        return list(self._out.values())

    def take(self, answer: Answer) -> str:
        """Enter an answer: TAKEN; AGAIN where the server wants what is unanswered again, later; PASSED over
        where it answers nothing that is out (any more), or what will be asked again anyway.

        ServiceError where the server could not even read whose answer it is: then nothing is out any more.
        """
        if answer.code == SLOW_DOWN:
            return AGAIN
        if answer.request_id == NO_ID:
            self.abandon(list(self._out))
            answer.unwrap()
        if answer.request_id not in self._out or answer.code == OUT_OF_ORDER:
            return PASSED
        del self._out[answer.request_id]
        self._answers[answer.request_id] = answer
        return TAKEN

    def claim(self, request_id: int) -> Answer | None:
        """The answer to a request, once; None while there is none."""
        return self._answers.pop(request_id, None)

    def abandon(self, request_ids: list[int]) -> None:
        """Nobody will claim these; they may or may not be carried out."""
        for request_id in request_ids:
            self._out.pop(request_id, None)
            self._answers.pop(request_id, None)
        if self._last_id in request_ids:
            self._last_id = NO_AFTER

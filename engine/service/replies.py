"""Answers kept, so that a repeated request has its effect once (I3, F8, F9).

A client's ids grow. A repeated id with the same content gets the stored answer; with other content
it is refused. Answers are kept within bounds; an id whose answer is gone is refused, and never
carried out again.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

from engine.errors import ServiceError
from engine.service.protocol import (
    ID_FORGOTTEN,
    ID_REUSED,
    TOO_MANY_CLIENTS,
    UNKNOWN_CLIENT,
    Request,
)

Frames = list[bytes]


@dataclass(slots=True)
class _Client:
    last_id: int = -1
    answers: "OrderedDict[int, tuple[bytes, Frames]]" = field(default_factory=OrderedDict)


class Replies:
    """Answers by client and id; `answers_max` of them per client, `bytes_max` in all."""

    def __init__(
        self, clients_max: int = 1_024, answers_max: int = 64, bytes_max: int = 64 << 20
    ) -> None:
        self.clients_max = clients_max
        self.answers_max = answers_max
        self.bytes_max = bytes_max
        self.kept_bytes = 0
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    def greet(self, name: str) -> int:
        """Enter a client; the largest id that it has used, -1 where it is new."""
        if name not in self._clients:
            if len(self._clients) >= self.clients_max:
                raise ServiceError(TOO_MANY_CLIENTS, f"{self.clients_max} clients are open already")
            self._clients[name] = _Client()
        return self._clients[name].last_id

    def find(self, request: Request) -> Frames | None:
        """The stored answer, or None where the request is a new one."""
        client = self._clients.get(request.client)
        if client is None:
            raise ServiceError(
                UNKNOWN_CLIENT,
                "say hello first; after a restart nothing is known of earlier requests",
            )
        kept = client.answers.get(request.request_id)
        if kept is not None:
            if kept[0] != _digest(request):
                raise ServiceError(ID_REUSED, f"id {request.request_id} stood for another request")
            return kept[1]
        if request.request_id <= client.last_id:
            raise ServiceError(
                ID_FORGOTTEN,
                f"the answer to id {request.request_id} is no longer kept; ids must grow",
            )
        self._clients.move_to_end(request.client)
        return None

    def keep(self, request: Request, answer: Frames) -> None:
        """Store the answer to a new request, and let go of the oldest ones beyond the bounds."""
        client = self._clients[request.client]
        client.last_id = request.request_id
        client.answers[request.request_id] = (_digest(request), answer)
        self.kept_bytes += _size(answer)
        if len(client.answers) > self.answers_max:
            self._drop_oldest(client)
        while self.kept_bytes > self.bytes_max:
            # the client that has been quiet for longest, and has something to let go of
            self._drop_oldest(next(item for item in self._clients.values() if item.answers))

    def forget(self, name: str) -> None:
        """A client is done: nothing is kept of it."""
        client = self._clients.pop(name, _Client())
        self.kept_bytes -= sum(_size(answer) for _, answer in client.answers.values())

    def _drop_oldest(self, client: _Client) -> None:
        _, (_, answer) = client.answers.popitem(last=False)
        self.kept_bytes -= _size(answer)


def _size(answer: Frames) -> int:
    return sum(len(frame) for frame in answer)


def _digest(request: Request) -> bytes:
    """Names the content of a request; a map's order does not count."""
    digest = hashlib.sha256(repr((request.verb, sorted(request.args.items()))).encode())
    digest.update(request.body)
    return digest.digest()

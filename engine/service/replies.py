"""Answers kept, so that a repeated request has its effect once (I3, F8, F9).

A client's ids grow. A repeated id with the same content gets the stored answer; with other content
it is refused: the request itself is kept beside its answer, so that "the same" is exact, and costs nothing
until a request is repeated. Both are kept within bounds; an id whose answer is gone is refused, and never
carried out again.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.errors import ServiceError
from engine.service.protocol import (
    ID_FORGOTTEN,
    ID_REUSED,
    OUT_OF_ORDER,
    TOO_MANY_CLIENTS,
    UNKNOWN_CLIENT,
    Request,
)

Frames = list[bytes | memoryview]

ENTRY_BYTES = 1_024
"""what a kept request and its answer take beside their rows, roughly"""


@dataclass(slots=True)
class _Client:
    last_id: int = -1
    answers: "OrderedDict[int, tuple[Request, Frames]]" = field(default_factory=OrderedDict)


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

    def __len__(self) -> int:
        return len(self._clients)

    def greet(self, name: str) -> int:
        """Enter a client; the largest id that it has used, -1 where it is new."""
        if name not in self._clients:
            if len(self._clients) >= self.clients_max:
                raise ServiceError(TOO_MANY_CLIENTS, f"{self.clients_max} clients are open already")
            self._clients[name] = _Client()
        return self._clients[name].last_id

    def knows(self, name: str) -> bool:
        """Whether this client has said hello."""
        return name in self._clients

    def check(self, request: Request) -> "_Client":
        """The client, if it has said hello; UNKNOWN_CLIENT otherwise."""
        client = self._clients.get(request.client)
        if client is None:
            raise ServiceError(
                UNKNOWN_CLIENT,
                "say hello first; after a restart nothing is known of earlier requests",
            )
        return client

    def find(self, request: Request) -> Frames | None:
        """The stored answer, or None where the request is a new one, and its turn has come."""
        client = self.check(request)
        kept = client.answers.get(request.request_id)
        if kept is not None:
            if kept[0] != request:
                raise ServiceError(ID_REUSED, f"id {request.request_id} stood for another request")
            return kept[1]
        if request.request_id <= client.last_id:
            raise ServiceError(
                ID_FORGOTTEN,
                f"the answer to id {request.request_id} is no longer kept; ids must grow",
            )
        if request.after > client.last_id:
            raise ServiceError(OUT_OF_ORDER, f"request {request.after} has not been carried out")
        self._clients.move_to_end(request.client)
        return None

    def keep(self, request: Request, answer: Frames) -> None:
        """Store the answer to a new request, and let go of the oldest ones beyond the bounds."""
        client = self._clients[request.client]
        client.last_id = request.request_id
        client.answers[request.request_id] = (request, answer)
        self.kept_bytes += _size(request, answer)
        if len(client.answers) > self.answers_max:
            self._drop_oldest(client)
        while self.kept_bytes > self.bytes_max:
            # the client that has been quiet for longest, and has something to let go of
            self._drop_oldest(next(item for item in self._clients.values() if item.answers))

    def forget(self, name: str) -> None:
        """A client is done: nothing is kept of it."""
        client = self._clients.pop(name, _Client())
        self.kept_bytes -= sum(_size(*kept) for kept in client.answers.values())

    def _drop_oldest(self, client: _Client) -> None:
        _, kept = client.answers.popitem(last=False)
        self.kept_bytes -= _size(*kept)


def _size(request: Request, answer: Sequence[bytes | memoryview]) -> int:
    return ENTRY_BYTES + len(request.body) + sum(len(frame) for frame in answer)

"""A datagram that must be refused, and the error."""

import pytest

from engine.errors import SignallingError
from engine.signalling.codec import decode


def refused(data: bytes, strict: bool = True) -> SignallingError:
    with pytest.raises(SignallingError) as caught:
        decode(data, strict)
    return caught.value

"""Work of a batch dealt out to shards, each one's in its order, and back (shards share no SIM)."""

import numpy as np

from engine.jit import i8s, kernel, rows, u1s, unsigned
from engine.layout import WORK


@kernel(rows(WORK), u1s, rows(WORK), i8s)
def deal(work, of_row, dealt, ends):  # type: ignore[no-untyped-def]
    """Copy each row of `work` to `dealt`, at the place of its SIM's shard in `ends`, which then moves on.

    of_row: uint8, the shard of each SIM row; ends: int64, where the shards' parts begin, then where they
    end.
    """
    for k in range(len(work)):
        shard = unsigned(of_row[unsigned(work[unsigned(k)]["row"])])
        dealt[unsigned(ends[shard])] = work[unsigned(k)]
        ends[shard] += 1


@kernel(rows(WORK), u1s, rows(WORK), i8s)
def collect(work, of_row, dealt, begins):  # type: ignore[no-untyped-def]
    """Undo `deal`: the rows of `dealt`, from `begins` on, back to where they were in `work`."""
    for k in range(len(work)):
        shard = unsigned(of_row[unsigned(np.int64(work[unsigned(k)]["row"]))])
        work[unsigned(k)] = dealt[unsigned(begins[shard])]
        begins[shard] += 1

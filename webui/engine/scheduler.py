"""Who goes next, and with whom: which pending calls share a batch.

Knows keys, row counts and turns; never a tensor, so its tests are in integers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

__all__ = ["Pending", "choose"]


PATIENCE = (
    16  # turns that a call of another model may be held back so that fewer models are swapped
)


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that waits. Calls with equal `key` may share a batch, one with None is made alone.

    `since` is the turn at which it came in. `owner` and `job` say whose it is; `owner_served` and `job_served` are
    the turns at which a call of that owner or job was last made. `warm`: what it runs on is in memory. `most`:
    how many rows of its size fit into the memory at once, where that is known.
    """

    key: Hashable | None
    rows: int
    since: int
    owner: str = ""
    job: str = ""
    owner_served: int = 0
    job_served: int = 0
    warm: bool = True
    most: int | None = None


def choose(pending: Sequence[Pending], capacity: int, turn: int = 0) -> list[int]:
    """The indices of the calls to make now.

    The owner who was served longest ago leads with the job of theirs that was, and that job's oldest call. Every
    other call that may share the batch joins while the rows fit: each place goes to the owner, and within an owner
    to the job, with the fewest places in this batch so far, then to who was served longest ago. A call wider than
    `capacity` runs alone. Calls whose model would have to be loaded again wait for those in memory, but
    not longer than `PATIENCE` turns; so with n calls and any number of owners none waits longer than
    n + `PATIENCE` turns for its first lead.
    """
    if not pending:
        return []

    def age(i: int) -> tuple[int, int, int]:
        return (pending[i].owner_served, pending[i].job_served, pending[i].since)

    everyone = range(len(pending))
    late = [i for i in everyone if not pending[i].warm and turn - pending[i].since > PATIENCE]
    warm = [i for i in everyone if pending[i].warm]
    lead = min(late or warm or everyone, key=age)
    chosen, rows = [lead], pending[lead].rows
    most = pending[lead].most
    capacity = capacity if most is None else min(capacity, most)
    joining = [
        i
        for i in everyone
        if i != lead and pending[lead].key is not None and pending[i].key == pending[lead].key
    ]
    places: Counter[str] = Counter([pending[lead].owner])
    of_job: Counter[str] = Counter([pending[lead].job])
    while joining := [i for i in joining if rows + pending[i].rows <= capacity]:
        following = min(
            joining, key=lambda i: (places[pending[i].owner], of_job[pending[i].job], *age(i))
        )
        joining.remove(following)
        chosen.append(following)
        rows += pending[following].rows
        places[pending[following].owner] += 1
        of_job[pending[following].job] += 1
    return chosen

"""Data parallel training (Li et al. 2020): several processes of one machine, each with its part of every batch.

All hold the same weights. Each computes gradients of its rows; their mean over the processes is the whole batch's
gradient, since every loss is a mean over rows, so all take the same step. Small convolutions make poor use of two
threads (a step of the autoencoder is no quicker than with one), and good use of two processes.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.multiprocessing.spawn import ProcessException, spawn

from webui.errors import EaselError, RequestError

__all__ = ["ALONE", "Share", "run_processes"]

Row = TypeVar("Row")
REFUSED = "refused"
PATIENCE = timedelta(days=2)  # the others wait while the first one draws a sheet


@dataclass(frozen=True, slots=True)
class Share:
    """Process `rank` of `count`. The first one alone writes checkpoints, sheets and reports."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Raises RequestError unless each process gets as many rows."""
        if batch % self.count:
            raise RequestError(
                f"processes {self.count}: a batch of {batch} cannot be divided evenly; use 1 or a divisor",
                "processes",
            )

    def rows(self, batch: Sequence[Row]) -> list[Row]:
        """This process's rows of a batch."""
        return list(batch[self.rank :: self.count])

    def part(self, batch: torch.Tensor) -> torch.Tensor:
        """This process's rows of a batch, [B, ...] -> [B / count, ...]."""
        return batch[self.rank :: self.count]

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        """Makes each tensor its mean over the processes. All must call it, with tensors of the same sizes."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([t.detach().reshape(-1).float() for t in tensors])
        distributed.all_reduce(flat)
        flat /= self.count
        sizes = [t.numel() for t in tensors]
        for tensor, mean in zip(tensors, torch.split(flat, sizes), strict=True):
            tensor.detach().copy_(mean.view(tensor.shape))

    def agree(self, wish: bool) -> bool:
        """What the first process wishes, in all of them."""
        if self.count == 1:
            return wish
        told = torch.tensor([float(wish)])
        distributed.broadcast(told, 0)
        return bool(told.item())

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.count > 1:
            distributed.barrier()

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The block runs in the first process, then in the others, which find the files that it made."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


ALONE = Share()


def run_processes(count: int, work: Callable[..., None], *arguments: Any) -> int:
    """`work(share, *arguments)` in `count` new processes that find each other; one that fails ends all.

    `work` must be a module's function: each process imports it anew. Returns 0, or 1 after an EaselError, which is
    printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            spawn(_joined, (count, folder, work, arguments), nprocs=count)  # type: ignore[no-untyped-call]
        except ProcessException:
            if not (Path(folder) / REFUSED).exists():
                raise
            return 1
    return 0


def _joined(rank: int, count: int, folder: str, work: Callable[..., None], arguments: Any) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=count, timeout=PATIENCE
    )
    try:
        work(Share(rank, count), *arguments)
    except EaselError as error:
        print(error, file=sys.stderr)
        (
            Path(folder) / REFUSED
        ).touch()  # the others then lose their connection, and may be seen first
        raise SystemExit(1) from None
    finally:
        distributed.destroy_process_group()

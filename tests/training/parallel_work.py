"""What the processes of test_parallel.py do. Each imports this anew, so it imports little."""

from pathlib import Path

import torch

from webui.errors import RequestError
from webui.training.parallel import Share

FAILS = "fails"


def meet(share: Share, folder: Path) -> None:
    """Averages two tensors, agrees on what the first wishes, and writes its rank after the first one's."""
    if folder.name == FAILS and share.first:
        raise RequestError("the first process has nothing to work on")
    whole = torch.tensor([[1.0], [2.0]]) + 2 * share.rank
    half = torch.tensor([3.0], dtype=torch.bfloat16) + 2 * share.rank
    share.average([whole, half])
    with share.first_alone(), (folder / "turns").open("a") as file:
        file.write(str(share.rank))
    averaged = [whole, half.float()]
    told = {"averaged": averaged, "agreed": share.agree(share.first), "dtype": half.dtype}
    torch.save(told, folder / f"{share.rank}.pt")

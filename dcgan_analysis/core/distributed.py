"""Several processes at one piece of work, as torchrun starts them; without torchrun every function means one process.

    torchrun --nproc-per-node 2 -m dcgan_analysis extract --checkpoint ... --dataset ...

The leader (rank 0) speaks to the user and lays out files; what the processes find is gathered in the order in which a
single process would have found it, so that the outcome is the same.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from dcgan_analysis.errors import DcganAnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta

    from torch import Tensor

T = TypeVar("T")


@contextmanager
def process_group(*, gpus: bool | None = None, timeout: timedelta | None = None) -> Iterator[bool]:
    """Join the group that torchrun's environment describes for the time of the block.

    Without torchrun's environment (``WORLD_SIZE`` unset or 1) nothing is joined, and a group that stands already is
    neither joined again nor left. NCCL joins GPUs, gloo everything else.

    Args:
        gpus: Whether GPUs compute; each process takes the one with its local number. None: where there are any.
        timeout: How long a process waits for the others; None: as long as torch does by default.

    Yields:
        Whether this process is the leader.

    Raises:
        DcganAnalysisError: If another process ended, or fell silent, while this one needed it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or _joined():
        yield is_leader()
        return
    import torch
    from torch import distributed

    gpus = torch.cuda.is_available() if gpus is None else gpus
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    # Both back ends: tensors on a GPU go through NCCL, those on the CPU through gloo.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=timeout)
    try:
        yield is_leader()
    except RuntimeError as error:
        # gloo raises plain RuntimeErrors that name its own files.
        if not isinstance(error, distributed.DistError) and "gloo/" not in str(error):
            raise
        msg = (
            f"Process {rank()} cannot go on: another of the {world_size()} processes ended or does not answer. Its own "
            "message, where it left one, says why. What is finished is kept: start the same command again."
        )
        raise DcganAnalysisError(msg) from error
    finally:
        distributed.destroy_process_group()


def _joined() -> bool:
    # Where nobody has imported torch there is no group, and asking must not import it.
    if "torch" not in sys.modules:
        return False
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def launched_first() -> bool:
    """Whether torchrun's environment makes this the first process; known also before and after the group stands."""
    return int(os.environ.get("RANK", "0")) == 0


def rank() -> int:
    """Return the number of this process, from 0."""
    if not _joined():
        return 0
    from torch import distributed

    return int(distributed.get_rank())


def world_size() -> int:
    """Return how many processes there are."""
    if not _joined():
        return 1
    from torch import distributed

    return int(distributed.get_world_size())


def is_leader() -> bool:
    """Say whether this process is the one that speaks to the user."""
    return rank() == 0


def share(work: Sequence[T]) -> Sequence[T]:
    """Return every ``world_size``-th piece of work, this process's own."""
    return work[rank() :: world_size()]


def divided(pieces: Sequence[Callable[[], T]]) -> list[T]:
    """Do pieces of work that do not communicate, each in one process, and return all results in every process.

    Args:
        pieces: What to do, the same in every process; results must be picklable.

    Example:
        >>> divided([lambda: 1, lambda: 2])
        [1, 2]
    """
    results = [piece() for piece in share(pieces)]
    size = world_size()
    if size == 1:
        return results
    from torch import distributed

    gathered: list[list[T]] = [[] for _ in range(size)]
    distributed.all_gather_object(gathered, results)
    return [gathered[number % size][number // size] for number in range(len(pieces))]


def wait_for_all() -> None:
    """Wait until every process is here."""
    if _joined():
        from torch import distributed

        distributed.barrier()


def agreed(value: T) -> T:
    """Return the leader's value in every process."""
    if not _joined():
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def gather_interleaved(rows: Tensor, total: int) -> Tensor:
    """Return the rows of all processes, in every process, in the order of the whole work.

    Args:
        rows: What this process found for its ``share``, one row a piece: (n, ...), on the CPU.
        total: Number of pieces of the whole work.

    Returns:
        Tensor of shape (total, ...).
    """
    size = world_size()
    if size == 1:
        return rows
    import torch
    from torch import distributed

    longest = -(-total // size)
    padded = torch.zeros((longest, *rows.shape[1:]), dtype=rows.dtype)
    padded[: len(rows)] = rows
    gathered = [torch.empty_like(padded) for _ in range(size)]
    distributed.all_gather(gathered, padded)
    return torch.stack(gathered, 1).flatten(0, 1)[:total]

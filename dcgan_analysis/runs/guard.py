"""What one analysis leaves behind must not reach the next: the process is put back as it was, and the plugin is named.

A hook on all modules, another default type or changed weights would give the next analysis wrong numbers without a
word, and its feature store would hold them for good. What can be put back is put back, with a warning in the result;
weights or images that an analysis changed in place make its own numbers, and stores written meanwhile, worth nothing:
the run fails.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dcgan_analysis.core.hashing import checksum
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.models.hooks import GLOBAL_HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint


@contextmanager
def guarded(subject: str, context: RunContext) -> Iterator[list[str]]:
    """Run a block; put the process back as it was, and say what the block had left.

    Inside, what is printed goes to standard error: standard output belongs to the program's own answer.

    Args:
        subject: Whose block it is, as a sentence begins: ``"Analysis 'toy' (acme 1.0)"``.
        context: What the block works with: the weights of its checkpoint and the images that it hands out must stay as
            they are.

    Yields:
        A list that holds, after the block, one line that says what was put back, where something was.

    Raises:
        AnalysisError: If weights or images were changed in place.
    """
    before = ProcessState()
    checkpoint = context.checkpoint if context.has_checkpoint else None
    weights = None if checkpoint is None else _weights_sum(checkpoint)
    warning: list[str] = []
    try:
        with redirect_stdout(sys.stderr):
            yield warning
    finally:
        left = before.restore()
        if left:
            warning.append(
                f"{subject} left changed: {', '.join(left)}. It was put back; numbers made meanwhile may be affected."
            )
    if checkpoint is not None and _weights_sum(checkpoint) != weights:
        msg = (
            f"{subject} changed the weights of checkpoint '{checkpoint.name}' in place: its numbers are of another "
            "network. It must work on a copy, such as checkpoint.generator() gives. Load the checkpoint anew."
        )
        raise AnalysisError(msg)
    changed = context.changed_splits()
    if changed:
        msg = (
            f"{subject} changed the images of split '{changed[0]}' in place: its numbers are of other images. It must "
            "work on a copy. Load the dataset anew."
        )
        raise AnalysisError(msg)


class ProcessState:
    """The parts of a process's state that change what others compute, as they are when this is made."""

    def __init__(self) -> None:
        self._values = self._read()
        self._hooks = {name: dict(getattr(torch.nn.modules.module, name) or {}) for name in GLOBAL_HOOKS}
        self._random = (random.getstate(), np.random.get_state(), torch.random.get_rng_state())
        self._filters = list(warnings.filters)

    @staticmethod
    def _read() -> dict[str, Any]:
        return {
            "the default dtype": torch.get_default_dtype(),
            "gradients on or off": torch.is_grad_enabled(),
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "the number of threads": torch.get_num_threads(),
            "the working directory": os.getcwd(),  # noqa: PTH109 - as os.chdir takes it
        }

    def restore(self) -> list[str]:
        """Put everything back; returns what had changed, in words."""
        now = self._read()
        changed = [name for name, value in self._values.items() if now[name] != value]
        put_back: dict[str, Callable[[Any], object]] = {
            "the default dtype": torch.set_default_dtype,
            "gradients on or off": torch.set_grad_enabled,
            "deterministic algorithms": torch.use_deterministic_algorithms,
            "the number of threads": torch.set_num_threads,
            "the working directory": os.chdir,
        }
        for name in changed:
            put_back[name](self._values[name])
        for name, hooks in self._hooks.items():
            current = getattr(torch.nn.modules.module, name)
            if isinstance(current, dict) and dict(current) != hooks:
                current.clear()
                current.update(hooks)
                changed.append("hooks on all modules")
        if list(warnings.filters) != self._filters:
            warnings.filters[:] = self._filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]
        # Drawing from the global generators is no slip; what follows begins as if nothing had been drawn.
        random.setstate(self._random[0])
        np.random.set_state(self._random[1])
        torch.random.set_rng_state(self._random[2])
        return list(dict.fromkeys(changed))


def _weights_sum(checkpoint: Checkpoint) -> list[int]:
    """Checksums of all weights; fast, since they are taken around every run."""
    return [
        checksum(tensor.detach().cpu().numpy()) for state in checkpoint.weights.values() for tensor in state.values()
    ]

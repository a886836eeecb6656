"""Many independent computations through joblib, each kept on disk as soon as it is done.

What is in the cache is not computed again, so a search that was stopped goes on where it was, and one with more trials
computes the new ones alone. Any joblib back end runs them: ``joblib.parallel_config(backend=..., n_jobs=...)`` around
the call decides, or ``n_jobs``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.features.outcomes import find_outcome, keep_outcome, outcome_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    Outcome = dict[str, np.ndarray]


def run_trials(
    kind: str,
    keys: Sequence[Mapping[str, Any]],
    work: Callable[[Any], Outcome],
    tasks: Sequence[Any],
    *,
    folder: Path | None = None,
    n_jobs: int | None = None,
    progress: Progress = silent,
) -> tuple[list[Outcome], int]:
    """Compute the outcomes that are not in the cache.

    Args:
        kind: What they are, in the plural: ``"trials"``.
        keys: For each trial, everything that decides its outcome, as JSON values.
        work: Computes the outcome of one task; a function that can be imported, for it may run in another process.
        tasks: What ``work`` is called with, one for each key.
        folder: The cache folder; None: the default cache.
        n_jobs: Trials at the same time; None: what the active joblib back end says, one by default.
        progress: Told of trials done.

    Returns:
        The outcomes in the order of the keys, and how many were computed now.

    Raises:
        StoreError: If an outcome cannot be written.
    """
    import joblib
    from joblib.parallel import get_active_backend

    outcomes = {}
    for number, key in enumerate(keys):
        cached = find_outcome(kind, key, folder)
        if cached is not None:
            outcomes[number] = cached
    missing = [number for number in range(len(keys)) if number not in outcomes]
    progress(f"{kind} (finished)", len(outcomes), len(keys))
    # Not every back end can hand over one outcome after the other; none needs to, as the workers keep them.
    backend, _ = get_active_backend()
    streams = getattr(backend, "supports_return_generator", False)
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered" if streams else "list", batch_size=1)
    calls = (joblib.delayed(_compute)(number, kind, keys[number], work, tasks[number], folder) for number in missing)
    for number, outcome in parallel(calls):
        # A worker on another machine keeps it in another folder.
        if not outcome_path(kind, keys[number], folder).exists():
            keep_outcome(kind, keys[number], outcome, folder)
        outcomes[number] = outcome
        progress(f"{kind} (finished)", len(outcomes), len(keys))
    return [outcomes[number] for number in range(len(keys))], len(missing)


def _compute(
    number: int,
    kind: str,
    key: Mapping[str, Any],
    work: Callable[[Any], Outcome],
    task: Any,
    folder: Path | None,
) -> tuple[int, Outcome]:
    outcome = work(task)
    keep_outcome(kind, key, outcome, folder)
    return number, outcome

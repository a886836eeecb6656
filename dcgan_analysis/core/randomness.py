"""Seeds and random generators: every stream of random numbers is named, by a seed or by words and numbers.

Torch's generator on CPUs keeps the low 32 bits of its seed and drops the rest without a word: seeds 5 and 5 + 2**32
are one to it. So nothing is added to a seed to make another one; a name is hashed to as many bits as count.
"""

from __future__ import annotations

import hashlib
import json
import operator
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dcgan_analysis.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

_BITS = 32


def derive_seed(*parts: str | int) -> int:
    """Return a seed of 32 bits for a stream named by words and numbers, by SHA-256.

    Raises:
        ConfigError: If a number is negative.

    Example:
        >>> derive_seed("twin", 0), derive_seed("twin", 1 << 32)
        (3248008682, 2672069724)
    """
    checked = [part if isinstance(part, str) else _check(part) for part in parts]
    digest = hashlib.sha256(json.dumps(checked).encode()).digest()
    return int.from_bytes(digest[: _BITS // 8], "little")


def torch_generator(*parts: str | int) -> torch.Generator:
    """Return a generator on the CPU for a stream of random numbers.

    Args:
        parts: A seed alone; or words and numbers, which are hashed. A seed of up to 32 bits is torch's own: shipped
            annotations name samples by it. A larger one is hashed as well.

    Raises:
        ConfigError: If a number is negative, or a lone part is none.
    """
    import torch

    return torch.Generator().manual_seed(_torch_seed(parts))


@contextmanager
def seeded(*parts: str | int) -> Iterator[None]:
    """Let the global random states of torch, numpy and Python follow a seed, and restore them; see torch_generator."""
    import numpy as np
    import torch

    seed = _torch_seed(parts)
    plain, array = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)
            yield
    finally:
        random.setstate(plain)
        np.random.set_state(array)


def _torch_seed(parts: tuple[str | int, ...]) -> int:
    if len(parts) > 1:
        return derive_seed(*parts)
    seed = _check(parts[0])
    return seed if seed < 1 << _BITS else derive_seed(seed)


def _check(seed: str | int) -> int:
    try:
        number = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0:
        msg = f"A seed is an integer from 0, got {seed!r}."
        raise ConfigError(msg)
    return number

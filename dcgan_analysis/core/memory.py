"""How much memory the program may hold: one limit for the process, of which whatever allocates by size asks its share.

What the program holds itself may have all of it but what its libraries take. Pages of mapped feature stores have the
rest: stores give them back before the limit is passed, and before 5.5 GB where there is none. All other sizes are then
those that are fast.

What is held is read from /proc (Linux); elsewhere a limit bounds each request alone.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.core.parallel import calls_beside
from dcgan_analysis.errors import AnalysisError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes at which stores give pages back where there is no limit; pages of libraries, and of a block of a store.
_USUAL, _FILES = 5_500_000_000, 600_000_000
_limit: int | None = None


@contextmanager
def limited_memory(gigabytes: float | None) -> Iterator[None]:
    """Limit what the process holds while the block lasts.

    Args:
        gigabytes: At most so much, in 10^9 bytes; None: as it was before.

    Raises:
        ConfigError: If the program alone takes as much.
    """
    global _limit
    before = _limit
    if gigabytes is not None:
        _limit = round(1e9 * gigabytes)
        if _limit <= (least := _resident("RssAnon") + _FILES):
            _limit = before
            msg = f"memory is {gigabytes:g} GB; the program alone needs {_in_gb(least)}. Allow more than that."
            raise ConfigError(msg)
    try:
        yield
    finally:
        _limit = before


def memory_share(preferred: int, *, least: int = 0, what: str = "") -> int:
    """Return how many bytes may be taken for something: what is preferred, or less where memory is limited.

    Calls that run side by side divide what is left.

    Args:
        preferred: As many as are of use.
        least: As many as it cannot do without.
        what: What it is, for the message.

    Raises:
        AnalysisError: If fewer than ``least`` are left.

    Example:
        >>> memory_share(1 << 30)
        1073741824
    """
    if _limit is None:
        return preferred
    held, beside = _resident("RssAnon"), calls_beside()
    left = max(0, _limit - _FILES - held) // beside
    if left < least:
        msg = (
            f"{what} needs {_in_gb(least)} of memory; {_in_gb(left)} are left of the {_in_gb(_limit)} that are "
            f"allowed. Set memory to at least {_in_gb(_FILES + held + beside * least)}, or use fewer images."
        )
        raise AnalysisError(msg)
    return min(preferred, left)


def memory_is_full() -> bool:
    """Return whether so much is in memory, pages of mapped files included, that these should be given back."""
    return _resident("RssAnon") + _resident("RssFile") > (_USUAL if _limit is None else _limit - _FILES // 4)


def _resident(kind: str) -> int:
    """Return the bytes of a kind of memory of this process, as /proc calls it; 0 where there is none."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    match = re.search(rf"^{kind}:\s+(\d+) kB", status, re.MULTILINE)
    return 1024 * int(match[1]) if match else 0


def _in_gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB"

"""What an analysis does while it runs: what it reports, and where it writes."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan_analysis.api.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dcgan_analysis.api.result import Stage


@dataclass
class Watch:
    """Counts the moments at which a run reports itself, and interrupts it at one of them as Ctrl-C would.

    Attributes:
        interrupt_at: Number of the moment at which ``KeyboardInterrupt`` is raised; None: never.
        moments: Moments so far: progress reports and beginnings of stages.
        reports: Progress reports so far.
        problem: What is wrong with a report, or empty.
    """

    interrupt_at: int | None = None
    moments: int = 0
    reports: int = 0
    problem: str = ""
    _seconds: float = field(default_factory=time.process_time)

    def moment(self) -> None:
        """Note a moment at which a user sees that the run goes on."""
        self.moments += 1
        if self.moments == self.interrupt_at:
            raise KeyboardInterrupt

    def __call__(self, label: str, done: int, total: int) -> None:
        """Take a progress report."""
        self.reports += 1
        if not isinstance(label, str) or not label.strip():
            self.problem = f"it reports progress of {label!r}; say in words what is done: 'samples (images)'"
        elif not all(isinstance(count, int) for count in (done, total)) or done < 0 or total < 0 or 0 < total < done:
            self.problem = (
                f"it reports progress {done!r} of {total!r} of '{label}'; it must be whole, 0 <= done <= total"
            )
        self.moment()

    @property
    def seconds(self) -> float:
        """Processor time since this was made, which does not depend on what else the machine does."""
        return time.process_time() - self._seconds


class WatchedContext(RunContext):
    """A run context whose stages count as moments of a ``Watch``, which is its ``progress``."""

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a part of the run."""
        if isinstance(self.progress, Watch):
            self.progress.moment()
        with super().stage(name) as stage:
            yield stage


# One audit hook for the process, for it cannot be removed; asleep where nobody records.
_recording: list[set[str]] = []
_hooks: list[object] = []


@contextmanager
def written_files() -> Iterator[set[str]]:
    """Yield a set that fills with the files that Python code opens for writing, creates, renames or makes folders of.

    What C libraries write by themselves (HDF5) is not seen.
    """
    if not _hooks:
        sys.addaudithook(_audit)
        _hooks.append(_audit)
    files: set[str] = set()
    _recording.append(files)
    try:
        yield files
    finally:
        _recording.pop()


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _recording or event not in ("open", "os.mkdir", "os.rename", "shutil.copyfile"):
        return
    if event == "open":
        path, mode, flags = arguments
        writes = isinstance(mode, str) and bool(set("wax+") & set(mode))
        writes = writes or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        named = [path] if writes else []
    else:
        named = [arguments[1]] if event in ("os.rename", "shutil.copyfile") else [arguments[0]]
    _recording[-1].update(
        str(Path(os.fsdecode(p)).absolute()) for p in named if isinstance(p, str | bytes | os.PathLike)
    )


def outside(files: set[str], allowed: list[Path], own: Path) -> list[str]:
    """Return which files lie in none of the allowed folders.

    Left out are what any Python program may write: compiled modules, devices, caches of libraries, and the temporary
    folder, save for the part ``own`` of it that the check itself works in.
    """
    import platformdirs

    roots = [str(path.resolve()) for path in allowed]
    usual = [Path("/dev"), Path("/proc"), Path(platformdirs.user_cache_dir()), Path(platformdirs.user_config_dir())]
    outside = []
    for name in sorted(files):
        path = Path(os.path.realpath(name))
        if any(path.is_relative_to(root) for root in roots) or "__pycache__" in path.parts:
            continue
        temporary = path.is_relative_to(Path(tempfile.gettempdir()).resolve()) and not path.is_relative_to(
            own.resolve()
        )
        if not temporary and not any(path.is_relative_to(root) for root in usual):
            outside.append(name)
    return outside

"""All comparisons in one go, as a Markdown table: as the machine is, and with one core kept busy by another process.

    python benchmarks/run.py                          # everything, some twenty minutes on two idle cores
    python benchmarks/run.py extraction --repeats 3   # one of them

Every program runs in a process of its own, in turn without and with the busy process, so that what else the machine
does hits both alike; within a program, ours and the other alternate. Values are medians over the repeats. Programs run
on the CPU.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BUSY = "x = 1\nwhile True:\n    x = x * 3 % 1000003"


@dataclass(frozen=True)
class Program:
    """A program of this folder and the numbers that it prints.

    Attributes:
        arguments: File name, then its arguments.
        values: What a number says -> pattern whose group is the number.
    """

    arguments: tuple[str, ...]
    values: dict[str, str]


PROGRAMS = {
    "extraction": Program(
        ("extraction.py",),
        {
            "extraction against a plain loop, times": r"ratio +([\d.]+)",
            "extraction, images/s": r"extraction +([\d.]+) images/s",
        },
    ),
    "l2svm": Program(("l2svm.py",), {"L2-SVM against LinearSVC, times": r"best of each\): ([\d.]+)"}),
    "training": Program(
        ("training.py",),
        {"a training step against a plain loop, processor time, times": r"ours  .* ([\d.]+) times the plain loop"},
    ),
    "nearest": Program(
        ("nearest_neighbour.py", "--against", "sklearn"),
        {"nearest neighbours against scikit-learn, times": r"sklearn .* ([\d.]+) times ours"},
    ),
}


@contextmanager
def busy_core() -> Iterator[None]:
    """Keep one of this process's cores busy with another process for the time of the block."""
    with subprocess.Popen([sys.executable, "-c", _BUSY]) as process:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        try:
            yield
        finally:
            process.kill()


def measure(program: Program) -> dict[str, float]:
    """Run a program once and return its numbers.

    Raises:
        SystemExit: If it fails, or does not print them.
    """
    command = [sys.executable, str(Path(__file__).parent / program.arguments[0]), *program.arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {what: re.search(pattern, done.stdout) for what, pattern in program.values.items()}
    if done.returncode or not all(found.values()):
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return {what: float(match[1]) for what, match in found.items() if match}


def table(programs: Sequence[Program], repeats: int) -> str:
    """Run programs in turn and return a Markdown table: what, as the machine is, with one core busy, their ratio."""
    runs: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(repeats):
        for program in programs:
            plain = measure(program)
            with busy_core():
                beside = measure(program)
            for what, value in plain.items():
                kept = runs.setdefault(what, ([], []))
                kept[0].append(value)
                kept[1].append(beside[what])
    lines = ["| | as it is | one core busy | of it |", "|---|---:|---:|---:|"]
    for what, both in runs.items():
        plain_value, busy_value = map(statistics.median, both)
        lines.append(f"| {what} | {plain_value:g} | {busy_value:g} | {busy_value / plain_value:.0%} |")
    return "\n".join(lines)


def machine() -> str:
    """Describe processor, cores, versions and load in one line."""
    try:
        name = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))[0]
    except (OSError, IndexError):
        name = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "scikit-learn", "dcgan-analysis"))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{name}, {cores} cores; Python {platform.python_version()}, {packages}; load before {load:.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PROGRAMS)}; all by default")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in PROGRAMS]
    if unknown or options.repeats < 1:
        parser.error(f"no benchmark is named '{unknown[0]}'" if unknown else "--repeats must be at least 1")
    print(machine(), end="\n\n", flush=True)
    print(table([PROGRAMS[name] for name in options.names or PROGRAMS], options.repeats))


if __name__ == "__main__":
    main()

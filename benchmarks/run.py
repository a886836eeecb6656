"""All comparisons in one go, as a Markdown table: as the machine is, and with one core kept busy by another process.

    python benchmarks/run.py                          # everything, some half an hour of two idle cores
    python benchmarks/run.py extraction --repeats 3   # one of them
    python benchmarks/run.py --device cuda            # what a GPU can compute; nothing was tested on one
    python benchmarks/run.py --out runs/benchmarks    # and as a document, which pages take their numbers from

Every program runs in a process of its own, in turn without and with the busy process, so that what else the machine
does hits both alike; within a program, ours and the other alternate. Values are medians over the repeats.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import parse
from report import document, load, markdown

from dcgan_analysis.api import Metric, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_BUSY = "x = 1\nwhile True:\n    x = x * 3 % 1000003"
Values = dict[str, tuple[list[float], list[float]]]


@dataclass(frozen=True)
class Program:
    """A program of this folder and the numbers that it prints.

    Attributes:
        arguments: File name, then its arguments.
        values: What a number says -> pattern that finds it. Where a pattern has two groups, the first takes the
            place of ``{}`` in the name, and there may be many.
        gpu: Whether it can compute on one.
        shared: Whether another process that keeps a core busy can change the numbers.
    """

    arguments: tuple[str, ...]
    values: dict[str, str]
    gpu: bool = True
    shared: bool = True


_STEP = r"ours  .* ([\d.]+) times the plain loop"
PROGRAMS = {
    "extraction": Program(
        ("extraction.py",),
        {
            "extraction against a plain loop, times": r"ratio +([\d.]+)",
            "extraction, images/s": r"extraction +([\d.]+) images/s",
        },
    ),
    "l2svm": Program(
        ("l2svm.py",),
        {
            "L2-SVM against LinearSVC, times": r"best of each\): ([\d.]+)",
            "L2-SVM against LinearSVC, processor time, times": r"of the processor ([\d.]+)$",
        },
    ),
    "few-labels": Program(
        ("few_labels.py",),
        {"few labels against LinearSVC, {}, processor time, times": r"^(.+), \d+ draws: .* \(processor ([\d.]+)\)"},
    ),
    "training-64": Program(
        ("training.py", "--batch", "64"),
        {"a training step of width 64 against PyTorch's example, processor time, times": _STEP},
    ),
    "training-128": Program(
        ("training.py", "--width", "128", "--batch", "64", "--repeats", "4"),
        {"a training step of width 128 against PyTorch's example, processor time, times": _STEP},
    ),
    "nearest": Program(
        ("nearest_neighbour.py", "--against", "sklearn"),
        {"nearest neighbours against scikit-learn, times": r"sklearn .* ([\d.]+) times ours"},
    ),
    "sampling": Program(
        ("sampling.py", "--checkpoint", "mnist-conditional"),
        {
            "samples against a plain loop, processor time, times": r"sampling .* ([\d.]+) times the plain",
            "samples of mnist-nn against a plain loop, processor time, times": r"folded .* ([\d.]+) times the plain",
        },
    ),
    "startup": Program(
        ("startup.py",),
        {"dcgan-analyze {}, least seconds": r"^(\S+ +(?:alone|with \d+ plugins)) .* least ([\d.]+) s"},
        gpu=False,
    ),
    "explorer": Program(
        ("explore.py",), {"{}, milliseconds": r"^(a step of the walk|pictures of the .+?) +(\d+) ms"}, gpu=False
    ),
    "near-duplicates": Program(
        ("near_duplicates.py", "--bits", "4"),
        {"a million hashes grouped, {} bits apart, seconds": r"^ +(\d+) +([\d.]+)"},
        gpu=False,
    ),
    "memory": Program(
        ("memory.py", "svm-cifar"), {"peak memory of {}, GB": r"^(\S+) +peak +([\d.]+) GB"}, shared=False
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


def measure(program: Program, *options: str) -> dict[str, float]:
    """Run a program once and return its numbers.

    Raises:
        SystemExit: If it fails, or does not print them.
    """
    command = [sys.executable, str(Path(__file__).parent / program.arguments[0]), *program.arguments[1:], *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    values = {}
    for what, pattern in program.values.items():
        matches = re.findall(pattern, done.stdout, re.MULTILINE)
        if done.returncode or not matches:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        for match in matches:
            name, value = match if isinstance(match, tuple) else ("", match)
            values[what.format(" ".join(name.split()))] = float(value)
    return values


def alternate(programs: Mapping[str, Program], repeats: int, *options: str, device: str = "cpu") -> Values:
    """Run programs in turn; return of each number the values as the machine is, and those beside a busy process."""
    runs: Values = {}
    for repeat in range(repeats):
        for name, program in programs.items():
            print(f"{name}, {repeat + 1} of {repeats}", file=sys.stderr, flush=True)
            own = [*options, *(["--device", device] if program.gpu else [])]
            plain, beside = measure(program, *own), {}
            if program.shared:
                with busy_core():
                    beside = measure(program, *own)
            for what, value in plain.items():
                kept = runs.setdefault(what, ([], []))
                kept[0].append(value)
                kept[1].extend([beside[what]] if beside else [])
    return runs


def table(runs: Values) -> Table:
    """Return a table of medians: what, as the machine is, with one core busy, their ratio."""
    rows: list[list[str | float | None]] = []
    for what, both in runs.items():
        plain, busy = (statistics.median(values) if values else None for values in both)
        rows.append([what, plain, busy, None if busy is None or not plain else busy / plain])
    columns = ["what", "as it is", "one core busy", "of it"]
    return Table(name="benchmarks", title="Benchmarks", columns=columns, rows=rows, percent=["of it"])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PROGRAMS)}; all by default")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for a result.json")
    options = parse(parser, {})
    unknown = [name for name in options.names if name not in PROGRAMS]
    if unknown or options.repeats < 1:
        parser.error(f"no benchmark is named '{unknown[0]}'" if unknown else "--repeats must be at least 1")
    chosen = {name: PROGRAMS[name] for name in options.names or PROGRAMS}
    if options.device != "cpu":
        chosen = {name: program for name, program in chosen.items() if program.gpu}
    before, started = load(), datetime.now(UTC)
    runs = alternate(chosen, options.repeats, *(["--quick"] if options.quick else []), device=options.device)
    metrics = {
        re.sub(r"\W+", "_", what).strip("_"): Metric(
            value=statistics.median(plain), unit="number", higher_is_better=None, n=options.repeats, description=what
        )
        for what, (plain, _) in runs.items()
    }
    result = document("Benchmarks", table(runs), metrics, options.device, before, started)
    print(markdown(result))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        result.save(options.out)


if __name__ == "__main__":
    main()

"""How long ``--help`` and ``list`` take, alone and with plugins of others installed: by turns, in one run.

    python benchmarks/startup.py                 # twenty plugins
    python benchmarks/startup.py --plugins 100

The plugins are those that ``dcgan-analyze new-plugin`` writes, each a package of its own, in a folder on the path as
``pip install --target`` leaves it. Seconds of the clock, and of the processor, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from arguments import parse

from dcgan_analysis.host.scaffold import render_plugin

COMMANDS = ("--help", "list")


def install(folder: Path, number: int) -> None:
    """Put a new plugin package into a folder of modules."""
    name = f"probe-{number}"
    module = f"dcgan_analysis_probe_{number}"
    (folder / f"{module}.py").write_text(render_plugin(name)[f"{module}.py"], encoding="utf-8")
    information = folder / f"{module}-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: dcgan-analysis-{name}\nVersion: 0.1.0\n", encoding="utf-8"
    )
    (information / "entry_points.txt").write_text(f"[dcgan_analysis]\n{name} = {module}\n", encoding="utf-8")


def measure(command: str, path: str) -> tuple[float, float, int]:
    """Run a command; return seconds of the clock and of the processor, and the lines that it printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (path, os.environ.get("PYTHONPATH"))))}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "dcgan_analysis", command], env=environment, check=True, capture_output=True
    )
    elapsed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return elapsed, busy, done.stdout.count(b"\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plugins", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    options = parse(parser, {"plugins": 2, "repeats": 1}, gpu=False)
    with tempfile.TemporaryDirectory(prefix="plugins-") as folder:
        for number in range(options.plugins):
            install(Path(folder), number)
        runs: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
        for repeat in range(options.repeats + 1):
            for command in COMMANDS:
                for path in ("", folder):
                    run = measure(command, path)
                    if repeat:  # the first compiles
                        runs.setdefault((command, path), []).append(run)
    for (command, path), measured in runs.items():
        clock, processor, lines = zip(*measured, strict=True)
        label = f"with {options.plugins} plugins" if path else "alone"
        print(
            f"{command:7} {label:16} {statistics.median(clock):.3f} s, "
            f"least {min(clock):.3f} s, of the processor {statistics.median(processor):.3f} s; {lines[0]} lines"
        )


if __name__ == "__main__":
    main()

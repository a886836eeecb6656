"""The README's first steps with the program as it is installed, in an empty folder: ``python scripts/first_steps.py``.

Run by the Python of an environment into which the wheel was installed (``nox -s wheel``, the release workflow): what a
wheel lacks, or a Python does not know, ends here and not at a user's. Needs the standard library alone.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

CLONE = Path(__file__).resolve().parents[1]
PROGRAM = Path(sys.executable).with_name("dcgan-analyze")
SMALL = ("--limit", "300", "--seed", "0")

# Words of the program, and the metric of the main result that must be there.
RUNS = {
    "demo": (("demo",), "accuracy"),
    "pixels": (("run", "pixels", "--dataset", "digits", *SMALL), "accuracy"),
    "walk": (
        ("run", "latent-walk", "--checkpoint", "digits-dcgan32", "--dataset", "digits", *SMALL, "--set", "walks=4"),
        "sharp_steps",
    ),
}


def call(*words: str | Path, folder: Path) -> str:
    """Run a command in a folder and return what it prints; end with its messages where it fails or warns."""
    shown = " ".join(str(word) for word in words)
    print(f"+ {shown}", flush=True)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0 or "Traceback" in done.stderr or "Warning" in done.stderr:
        sys.exit(f"{shown} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def analyze(*words: str | Path, folder: Path) -> str:
    """Run the program."""
    return call(PROGRAM, *words, folder=folder)


def expect(condition: bool, message: str) -> None:
    """End with a message unless a condition holds."""
    if not condition:
        sys.exit(message)


def check_run(folder: Path, name: str, metric: str) -> None:
    """Read a run as its user would: its number, its report, no damage."""
    result = json.loads((folder / name / "result.json").read_text(encoding="utf-8"))
    expect(metric in result["metrics"], f"{name} measured no {metric}")
    expect((folder / name / "report.html").stat().st_size > 1000, f"{name} has no report")
    expect(metric in analyze("show", name, "--json", folder=folder), f"show {name} does not name {metric}")
    analyze("verify", name, folder=folder)


def steps(folder: Path) -> None:
    """Go through the steps in a folder."""
    version = metadata.version("dcgan-analysis")
    expect(version in analyze("--version", folder=folder), "--version does not tell the installed version")
    expect("demo" in analyze("--help", folder=folder), "--help names no demo")
    plugins = json.loads(analyze("plugins", "--json", folder=folder))
    broken = [plugin for plugin in plugins if plugin["state"] != "loaded"]
    expect(bool(plugins) and not broken, f"plugins that did not load: {broken}")
    analyze("list", folder=folder)
    for checkpoint in json.loads(analyze("list", "checkpoints", "--json", folder=folder))["checkpoints"]:
        analyze("verify", checkpoint["name"], folder=folder)
        analyze("show", checkpoint["name"], folder=folder)
    for name, (words, metric) in RUNS.items():
        analyze(*words, "--out", name, folder=folder)
        check_run(folder, name, metric)
    analyze("table", "1", "--dataset", "digits", "--gather-only", "--out", "tables", folder=folder)
    analyze("figure", "10", "--out", "figures", folder=folder)
    expect((folder / "figures" / "figure-10.png").is_file(), "figure 10 was not made")
    analyze("sample", "--checkpoint", "digits-conditional", "--n", "6", "--out", "sheet.png", folder=folder)
    analyze("new-plugin", "my-probe", "--out", "my-probe", folder=folder)
    call(sys.executable, "-m", "pip", "install", "-q", "./my-probe", folder=folder)
    analyze("run", "my-probe", *SMALL, "--out", "probe", folder=folder)
    analyze("show", "probe", folder=folder)


def main() -> None:
    """Go through the steps in a new folder, with a cache of its own."""
    module = Path(importlib.util.find_spec("dcgan_analysis").origin)
    expect(CLONE not in module.parents or "site-packages" in module.parts, f"{module} is the clone: install the wheel")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["DCGAN_ANALYSIS_CACHE"] = str(folder / "cache")
        os.environ.pop("DCGAN_ANALYSIS_DATA", None)
        steps(folder)
    print(f"All first steps pass on Python {sys.version.split()[0]}.")


if __name__ == "__main__":
    main()

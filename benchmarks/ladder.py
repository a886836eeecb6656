"""The trainings behind the shipped networks, one after the other, each resumed where it was stopped.

    python benchmarks/ladder.py --out runs/ladder --data-root DATA                 # every rung of ladder.toml
    python benchmarks/ladder.py --out runs/ladder --data-root DATA --rung faces64  # one, with those it starts from
    python benchmarks/ladder.py --out runs/ladder --page                           # the page alone

A rung is a preset of ``dcgan-analyze train`` with settings in its place; each trains into a folder of its name under
``--out``. Ctrl-C or SIGTERM saves the state; the same command goes on from there, and passes over what is done.
``index.html`` in ``--out`` shows the curves of all rungs against hours, and what each was judged. ``--full`` trains to
the lengths of the presets, for whoever has more cores or a GPU. Of a ladder with several seeds, ``result.json`` in
``comparison/`` holds the mean of each rung over them, and what it gains on the rung that is the file's ``control``.
"""

from __future__ import annotations

import argparse
import base64
import html
import io
import json
import time
import tomllib
from pathlib import Path

import torch

from dcgan_analysis import figures
from dcgan_analysis.api import Metric, Result
from dcgan_analysis.api.environment import describe_environment
from dcgan_analysis.core.files import make_folder, write_text
from dcgan_analysis.core.statistics import mean_interval, wilson_interval
from dcgan_analysis.core.text import duration, percent
from dcgan_analysis.errors import TrainingStopped
from dcgan_analysis.figures.style import styled
from dcgan_analysis.report.format import label, metric_text
from dcgan_analysis.runs.library import train
from dcgan_analysis.training.presets import load_preset
from dcgan_analysis.training.state import STATE
from dcgan_analysis.training.stopping import stop_requests
from dcgan_analysis.training.watching import Watcher

LADDER = Path(__file__).with_name("ladder.toml")
RUNG = "rung:"
_STYLE = (
    "body{font:16px/1.5 system-ui;margin:2rem auto;max-width:62rem;padding:0 1rem}img{max-width:100%}"
    "td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}"
)


class _Page(Watcher):
    """Writes the page at the end of each interval, and says a line."""

    def __init__(self, out, rungs, name):
        self._out, self._rungs, self._name = out, rungs, name

    def interval(self, folder, row):
        judged = f", feature accuracy {percent(row['feature_accuracy'], 1)}" if "feature_accuracy" in row else ""
        print(f"{self._name}: epoch {row['epoch']:g}, {duration(row['seconds'])}{judged}", flush=True)
        write_page(self._out, self._rungs)


def read_ladder(path=LADDER):
    """Return the rungs of a ladder, in order: dictionaries with ``name``, ``preset``, ``why`` and ``settings``.

    ``settings`` above all rungs are those of each that has no others; ``seeds`` trains every rung once with each of
    them, a round of all rungs after the other.
    """
    ladder = tomllib.loads(path.read_text(encoding="utf-8"))
    rungs = [{**rung, "settings": {**ladder.get("settings", {}), **rung["settings"]}} for rung in ladder["rung"]]
    if "seeds" not in ladder:
        return rungs
    return [_of_seed(rung, seed, ladder.get("control")) for seed in ladder["seeds"] for rung in rungs]


def _of_seed(rung, seed, control):
    settings = {**rung["settings"], "seed": seed}
    if settings.get("start_from", "").startswith(RUNG):
        settings["start_from"] += f"-{seed}"
    name = f"{rung['name']}-{seed}"
    return {**rung, "name": name, "settings": settings, "recipe": rung["name"], "control": control}


def needed(rungs, name):
    """Return the rungs that lead to one of them, itself included, in order."""
    names = {name}
    for rung in reversed(rungs):
        start = rung["settings"].get("start_from", "")
        if rung["name"] in names and start.startswith(RUNG):
            names.add(start.removeprefix(RUNG))
    return [rung for rung in rungs if rung["name"] in names]


def settings_of(rung, out, *, full):
    """Return the settings of a rung's training; ``full``: as long as its preset.

    A rung with ``processor_seconds`` is as long as they last at its ``step_seconds``, a measured cost.
    """
    settings = dict(rung["settings"])
    start = settings.get("start_from", "")
    if start.startswith(RUNG):
        settings["start_from"] = str(out / start.removeprefix(RUNG))
    if "processor_seconds" in rung:
        steps = round(rung["processor_seconds"] / rung["step_seconds"])
        settings["epochs"] = steps / (settings["images"] // settings["batch_size"])
    if full:
        settings["epochs"] = load_preset(rung["preset"]).settings["epochs"]
    return settings


def climb(rungs, out, *, data_root=None, device="auto", full=False):
    """Train each rung that is not done."""
    with stop_requests() as request:
        for rung in rungs:
            print(f"{rung['name']}: {rung['why']}", flush=True)
            settings = settings_of(rung, out, full=full)
            if (out / rung["name"] / STATE).exists():
                # It may have begun in another place, where what it starts from had another path.
                settings.pop("start_from", None)
            train(
                settings,
                out / rung["name"],
                preset=rung["preset"],
                data_root=data_root,
                resume=True,
                device=device,
                watchers=[_Page(out, rungs, rung["name"])],
            )
            write_page(out, rungs)
            if request.signal:
                # It came while the last interval of the rung was measured.
                msg = f"Stopped after {rung['name']}"
                raise TrainingStopped(msg, request.signal)


def _history(out, rung):
    """Return the rows of a rung's history, and those in which it was judged."""
    path = out / rung["name"] / "history.json"
    history = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return history, [row for row in history if "feature_accuracy" in row]


def compare(rungs, out):
    """Return the mean accuracy of each rung over its seeds, and its gain over the control seed by seed, as metrics."""
    accuracies, meanings = {}, {}
    for rung in rungs:
        _, measured = _history(out, rung)
        if measured and "recipe" in rung:
            meanings[rung["recipe"]] = rung["why"].rstrip(".")
            of_seeds = accuracies.setdefault(rung["recipe"], {})
            of_seeds[rung["settings"]["seed"]] = measured[-1]["feature_accuracy"]
    metrics = {}
    for recipe, of_seeds in accuracies.items():
        name, control = recipe.replace("-", "_"), rungs[0]["control"]
        metrics[name] = _mean(of_seeds.values(), meanings[recipe])
        shared = [seed for seed in of_seeds if seed in accuracies.get(control, {})]
        if shared and recipe != control:
            gains = [of_seeds[seed] - accuracies[control][seed] for seed in shared]
            metrics[f"{name}_gain"] = _mean(gains, f"{recipe} less {control}, seed by seed")
    return metrics


def _mean(values, description):
    mean, low, high = mean_interval(list(values))
    interval = {"low": low, "high": high, "interval": "95 % Student's t over seeds"} if len(values) > 1 else {}
    return Metric(value=mean, n=len(values), description=description, **interval)


def write_comparison(rungs, out, ladder):
    """Write ``comparison/result.json``, a result document, where rungs were trained with several seeds."""
    metrics = compare(rungs, out)
    if not metrics:
        return
    make_folder(out / "comparison")
    Result(
        analysis="ladder",
        title=f"Feature accuracy of {ladder.stem}",
        headline=next(iter(metrics)),
        metrics=metrics,
        seed=0,
        environment=describe_environment(torch.device("cpu"), ""),
        stages=[],
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        elapsed_seconds=sum(row["seconds"] for rung in rungs for row in _history(out, rung)[0][-1:]),
        command=f"python benchmarks/ladder.py --ladder benchmarks/{ladder.name} --out FOLDER",
    ).save(out / "comparison")


def write_page(out, rungs):
    """Write ``index.html``: every rung that has begun, its curve against hours and its last judgement.

    Hours are counted from the beginning of the rung that one starts from.
    """
    rows, curves, ended = [], {}, {}
    for rung in rungs:
        history, measured = _history(out, rung)
        before = ended.get(rung["settings"].get("start_from", "").removeprefix(RUNG), 0)
        ended[rung["name"]] = before + (history[-1]["seconds"] if history else 0)
        judged = "not measured"
        if measured:
            n = measured[-1]["feature_images"]
            accuracies = [row["feature_accuracy"] for row in measured]
            low, high = zip(*(wilson_interval(round(value * n), n) for value in accuracies), strict=True)
            hours = [(before + row["seconds"]) / 3600 for row in measured]
            curves[rung["name"]] = figures.Series(hours, accuracies, low, high)
            judged = f"{percent(accuracies[-1], 1)} [{percent(low[-1], 1)}, {percent(high[-1], 1)}], n = {n}"
        last = history[-1] if history else None
        length = f"{last['epoch']:g} epochs, {duration(last['seconds'])}" if last else "not begun"
        link = f'<a href="{rung["name"]}/report.html">{html.escape(rung["name"])}</a>' if last else rung["name"]
        rows.append(f"<tr><td>{link}</td><td>{length}</td><td>{judged}</td><td>{html.escape(rung['why'])}</td></tr>")
    picture = ""
    if curves:
        figure = figures.curve(curves, x_label="hours of training", y_label="feature accuracy", log_x=False)
        drawn = io.BytesIO()
        with styled():
            figure.savefig(drawn, format="png", dpi=110)
        data = base64.b64encode(drawn.getvalue()).decode("ascii")
        picture = f'<img alt="Feature accuracy of each rung against hours" src="data:image/png;base64,{data}">'
    table = (
        "<table><tr><th>rung</th><th>length</th><th>feature accuracy, held-out training images</th><th>why</th></tr>"
    )
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Ladder</title><style>{_STYLE}</style>'
        f"<h1>Ladder of trainings</h1>{picture}{table}{''.join(rows)}</table>{_means(compare(rungs, out))}</html>"
    )
    write_text(out / "index.html", page)


def _means(metrics):
    rows = [
        f"<tr><td>{label(name)}</td><td>{metric_text(metric)}</td><td>{metric.n}</td>"
        f"<td>{html.escape(metric.description)}</td></tr>"
        for name, metric in metrics.items()
    ]
    header = "<tr><th>rung</th><th>mean, 95 % Student's t</th><th>seeds</th><th>what</th></tr>"
    return f"<h2>Means over seeds</h2><table>{header}{''.join(rows)}</table>" if rows else ""


def main(arguments=None):
    """Climb the ladder, or draw its page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--data-root", type=Path, help="folder with data sets; DCGAN_ANALYSIS_DATA if not given")
    parser.add_argument("--ladder", type=Path, default=LADDER, help="another ladder.toml")
    parser.add_argument("--rung", help="this one alone, with those that it starts from")
    parser.add_argument("--full", action="store_true", help="the lengths of the presets")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--page", action="store_true", help="write the page and train nothing")
    options = parser.parse_args(arguments)
    rungs = read_ladder(options.ladder)
    known = [rung["name"] for rung in rungs]
    if options.rung is not None and options.rung not in known:
        parser.error(f"unknown rung '{options.rung}'; there are: {', '.join(known)}")
    if options.page:
        write_page(options.out, rungs)
        write_comparison(rungs, options.out, options.ladder)
        return
    chosen = rungs if options.rung is None else needed(rungs, options.rung)
    try:
        climb(chosen, options.out, data_root=options.data_root, device=options.device, full=options.full)
    except TrainingStopped as stopped:
        parser.exit(128 + stopped.signal, f"{str(stopped).split('; ')[0]}; the same command goes on.\n")
    finally:
        write_comparison(rungs, options.out, options.ladder)


if __name__ == "__main__":
    main()

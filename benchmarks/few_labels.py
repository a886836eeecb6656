"""Few labels: the fits of svm-svhn against scikit-learn's ``LinearSVC`` on the same draws, in one run.

    python benchmarks/few_labels.py                                    # embedded photos, 50 labels a class
    dcgan-analyze import PATH_OF_THE_ARRAYS --out ./authors-svhn
    python benchmarks/few_labels.py --checkpoint ./authors-svhn --dataset svhn --labels 100

Features are extracted once (and found in the cache the next time). Then, draw by draw in turn, ``LinearSVC`` and ours
fit the same rows: the whole grid of C on draws that choose, one C on draws that are tested. At the end ours fits all
draws of the protocol at once (10 draws at 7 C and 100 at one: 170 fits), which is what the analysis does. Times are
those of the wall clock; the ratio is of processor times too, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
import torch
from arguments import parse, seconds

import dcgan_analysis as da
from dcgan_analysis.data import few_label_draws, holdout
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.features.pipeline import Extraction
from dcgan_analysis.linear import few_label_probe, fit_draws
from dcgan_analysis.linear.rows import gather

GRID = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)


def timed(function, device="cpu"):
    """Return what a function returns, and the seconds it took: on the wall, on the processor."""
    wall, busy = seconds(device), seconds(processor=True)
    result = function()
    return result, np.array([seconds(device) - wall, seconds(processor=True) - busy])


def linear_svc(features, labels, cs, evaluate):
    """Fit ``LinearSVC`` for each C; return predictions (G, N_eval) and objectives (G, K)."""
    from sklearn.svm import LinearSVC

    predictions, objectives = [], []
    for c in cs:
        machine = LinearSVC(C=c, random_state=0).fit(features, labels)
        predictions.append(machine.predict(evaluate))
        signs = np.where(labels[:, None] == machine.classes_, 1.0, -1.0)
        loss = (np.maximum(0, 1 - signs * machine.decision_function(features)) ** 2).sum(0)
        norm = (machine.coef_**2).sum(1) + machine.intercept_**2
        objectives.append(0.5 * norm + c * loss)
    return np.stack(predictions), np.stack(objectives)


def beside(train, labels, draws, cs, evaluate, device):
    """Fit each draw both ways in turn; return times (2, 2), our largest excess, the share of equal predictions."""
    scored = evaluate.read(0, evaluate.shape[0]).float().numpy()
    times, excess, equal = np.zeros((2, 2)), [], []
    for draw in draws:
        rows = gather(train, [draw])[0].float().numpy()
        (theirs, objective), own = timed(lambda rows=rows, draw=draw: linear_svc(rows, labels[draw], cs, scored))
        times[0] += own
        ours, own = timed(lambda draw=draw: fit_draws(train, labels, [draw], cs, evaluate, device=device), device)
        times[1] += own
        excess.append((ours.objective[0] / objective - 1).max())
        equal.append((ours.predictions[0] == theirs).mean())
    return times, max(excess), float(np.mean(equal))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="cifar10-dcgan32-w64")
    parser.add_argument("--dataset", default="cifar10-mini")
    parser.add_argument("--labels", type=int, default=50, help="labels of each class")
    parser.add_argument("--limit", type=int, help="training and test images at most")
    parser.add_argument("--choosing", type=int, default=10, help="draws that choose C, where all are fitted at once")
    parser.add_argument("--tested", type=int, default=100, help="draws that are tested")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--folder", type=Path, help="folder of the stores; the cache by default")
    parser.add_argument("--draws", type=int, default=2, help="draws that both fit, of either kind")
    parser.add_argument("--c", type=float, default=5e-4, help="C of the tested draws")
    quick = {"checkpoint": "digits-dcgan32", "dataset": "digits", "labels": 2, "limit": 80, "draws": 1}
    options = parse(parser, {**quick, "choosing": 2, "tested": 2})
    warnings.simplefilter("ignore")  # LinearSVC says when it stops short
    data = da.load_dataset(options.dataset, data_root=options.data_root)
    splits = {name: data.some(name, options.limit) for name in ("train", "test")}
    extraction = Extraction(
        da.load_checkpoint(options.checkpoint),
        FeatureSpec(),
        splits["train"],
        torch.device(options.device),
        folder=options.folder,
    )
    train, test = (extraction.store(name, split) for name, split in splits.items())
    labels, test_labels = np.asarray(train.labels), np.asarray(test.labels)
    rng = np.random.default_rng(0)
    held = np.zeros(len(labels), dtype=bool)
    held[holdout(len(labels), min(10_000, len(labels) // 2), rng, labels=labels, groups=train.groups)[1]] = True
    kept = np.flatnonzero(~held)
    choosing, tested = (
        [kept[d] for d in few_label_draws(labels[kept], options.labels, n, rng)]
        for n in (options.choosing, options.tested)
    )
    for name, draws, cs in (("grid of 7 C", choosing, GRID), (f"C = {options.c:g}", tested, (options.c,))):
        times, excess, equal = beside(train.rows(), labels, draws[: options.draws], cs, test.rows(), options.device)
        wall, busy = times[0] / times[1]
        print(
            f"{name}, {options.draws} draws: LinearSVC {times[0, 0]:.1f} s, ours {times[1, 0]:.1f} s; "
            f"ratio {wall:.1f} (processor {busy:.1f}); objective {excess:+.1e} at most, equal predictions {equal:.2%}"
        )
    found, (wall, busy) = timed(
        lambda: few_label_probe(train.rows(), labels, held, test.rows(), test_labels, choosing, tested, GRID)
    )
    print(
        f"all {len(choosing) * len(GRID) + len(tested)} fits and their predictions: {wall:.1f} s (processor {busy:.1f})"
    )
    error = 100 * (1 - np.array(found.accuracies))
    print(f"C = {found.c:g}, test error {error.mean():.2f} +-{1.96 * error.std(ddof=1):.2f} %")


if __name__ == "__main__":
    main()

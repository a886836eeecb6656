"""Do training images stand out by their reconstruction? Tests on errors, their power, and one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.api import Metric, Table, mean_metric
from dcgan_analysis.api.metrics import auc_metric
from dcgan_analysis.core.statistics import auc_difference, auc_interval, precedence_test, wilson_interval
from dcgan_analysis.latents import planted
from dcgan_analysis_plugins.invert.reconstruction import HELD_OUT, OWN, TRAINING, TWIN_HELD_OUT, TWIN_TRAINING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dcgan_analysis.api import Cell, RunContext
    from dcgan_analysis.latents.planted import Power
    from dcgan_analysis_plugins.invert.reconstruction import Reconstructed

CLOSER, BEST = "training images are closer", "training images among the best"
_DRAWS = 100
_TAIL = 0.01  # of the held-out images
# One-sided, for each of two tests: 5 % in all.
_LEVEL = 0.025


class Evidence:
    """All tests, their power, and one verdict.

    Args:
        measured: Kind -> its reconstructions.
        rng: Source of the planted copies.

    Attributes:
        metrics: All numbers by name.
        power: How often planted copies are found.
        verdict: One line.
    """

    def __init__(self, measured: Mapping[str, Reconstructed], rng: np.random.Generator) -> None:
        self._measured = measured
        self._errors = {name: of.errors for name, of in measured.items()}
        n, copies = len(self._errors[TRAINING]), len(self._errors[OWN])
        self._signs = self._tests(np.arange(n), np.arange(0))
        self.power: Power = planted.measure_power(self._tests, n, copies, draws=_DRAWS, rng=rng)
        self.verdict = planted.verdict([name for name, sign in self._signs.items() if sign], self.power)
        self.metrics = self._metrics() | planted.power_metrics(self.power)

    def _tests(self, kept: NDArray[np.int64], copies: NDArray[np.int64]) -> dict[str, bool]:
        """Test some training images, together with others whose errors are those of own samples."""
        own, twin = self._errors[OWN][copies], self._errors[TWIN_TRAINING]
        training = np.concatenate([self._errors[TRAINING][kept], own])
        control = np.concatenate([twin[kept], twin[copies % len(twin)]])
        held_out, held_out_control = self._errors[HELD_OUT], self._errors[TWIN_HELD_OUT]
        closer = auc_interval(training, held_out)[1] > 0.5
        excess = auc_difference(training, held_out, control, held_out_control)[1] > 0
        _, p = precedence_test(training, held_out, self._rank)
        return {CLOSER: closer and excess, BEST: p < _LEVEL}

    @property
    def _rank(self) -> int:
        return max(1, round(_TAIL * len(self._errors[HELD_OUT])))

    def _metrics(self) -> dict[str, Metric]:
        errors = self._errors
        pairs = {
            "training_closer": (
                errors[TRAINING],
                errors[HELD_OUT],
                "chance that a training image is reconstructed better",
            ),
            "twin_training_closer": (
                errors[TWIN_TRAINING],
                errors[TWIN_HELD_OUT],
                "the same of the random twin, which has seen neither",
            ),
            "training_closer_features": (
                self._measured[TRAINING].features,
                self._measured[HELD_OUT].features,
                "the same by the judge's features",
            ),
        }
        metrics = {
            name: auc_metric(training, held_out, text, higher_is_better=None if name.startswith("twin") else False)
            for name, (training, held_out, text) in pairs.items()
        }
        value, low, high = auc_difference(
            errors[TRAINING], errors[HELD_OUT], errors[TWIN_TRAINING], errors[TWIN_HELD_OUT]
        )
        metrics["excess"] = Metric(
            value=value,
            low=low,
            high=high,
            interval="95 % DeLong, paired",
            n=len(errors[TRAINING]),
            higher_is_better=False,
            description="this chance less the twin's",
        )
        count, p = precedence_test(errors[TRAINING], errors[HELD_OUT], self._rank)
        n = len(errors[TRAINING])
        low, high = wilson_interval(count, n)
        metrics["best_training"] = Metric(
            value=count / n,
            low=low,
            high=high,
            interval="95 % Wilson",
            n=n,
            higher_is_better=False,
            description=f"training images reconstructed better than the best {self._rank} of "
            f"{len(errors[HELD_OUT])} held-out images; precedence test: p = {p:.2g}",
        )
        names = ("training", "held_out", "own", "twin_training", "twin_held_out")
        for kind, name in zip((TRAINING, HELD_OUT, OWN, TWIN_TRAINING, TWIN_HELD_OUT), names, strict=True):
            metrics[f"{name}_error"] = mean_metric(
                errors[kind],
                f"{kind}: root mean square error of the reconstruction, pixels in [0, 1]",
                over="images",
                higher_is_better=None,
            )
        return metrics

    def table(self) -> Table:
        """List errors and answers."""
        rows: list[list[Cell]] = [
            [kind, len(of.errors), float(of.errors.mean()), float(np.median(of.errors)), float(of.features.mean())]
            for kind, of in self._measured.items()
        ]
        answers = "; ".join(f"{name}: {self.power.answer(name, sign=sign)}" for name, sign in self._signs.items())
        return Table(
            name="errors",
            title=f"Verdict: {self.verdict}",
            columns=["images", "n", "mean error", "median error", "mean distance of features"],
            rows=rows,
            note=f"{answers}. Errors: root mean square of pixels in [0, 1]. Own samples are the floor of the search. "
            "The discriminator has seen the training images itself: its features decide nothing.",
        )

    def save_power(self, context: RunContext) -> Table:
        """Draw and return the curve of power."""
        return planted.save_power(context, self.power, "A share of the training images has errors of own samples.")

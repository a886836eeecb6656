"""The verdict on a training, with the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from dcgan_analysis.api import Metric, Table
from dcgan_analysis.api.metrics import auc_metric
from dcgan_analysis.core.text import counted, number
from dcgan_analysis.training import failures as rules
from dcgan_analysis.training.monitors import FilterHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dcgan_analysis.api import Cell

    Row = Mapping[str, Any]

__all__ = ["Verdict", "probability", "told_apart"]


def probability(logits: np.ndarray) -> np.ndarray:
    """Return the probabilities of logits (N,), as float64."""
    values: np.ndarray = expit(logits.astype(np.float64))
    return values


def told_apart(lower: np.ndarray, higher: np.ndarray, kinds: str) -> Metric:
    """Return the area under the curve between two samples of logits, with DeLong's interval."""
    text = f"area under the curve of the discriminator between {kinds}; 0.5: it does not tell them apart"
    return auc_metric(lower, higher, text, higher_is_better=None)


@dataclass(frozen=True)
class Verdict:
    """What failed, and since when.

    Attributes:
        readings: What was judged: the rows of the history, or one row of the networks as they are.
        episodes: Failures in the order in which they began.
        from_history: Whether there is a history.
    """

    readings: Sequence[Row]
    episodes: Sequence[rules.Episode]
    from_history: bool

    @classmethod
    def of(cls, history: Sequence[Row], of_states: Sequence[Row], now: Row, epoch: float) -> Verdict:
        """Judge a history, and where it says nothing of filters the states; without one the networks as they are.

        Args:
            history: Rows of the history; may be empty.
            of_states: Rows with the filters of states.
            now: What was measured of the networks.
            epoch: How old they are.
        """
        readings = history or [{"step": rules.EARLY, "epoch": epoch, **now}]
        episodes = [*rules.episodes(readings), *rules.episodes(of_states)]
        return cls(readings, sorted(episodes, key=lambda episode: episode.began), bool(history))

    @property
    def present(self) -> list[str]:
        """The kinds of failure at the last reading."""
        return list(dict.fromkeys(episode.failure.name for episode in self.episodes if episode.ended is None))

    @property
    def passed(self) -> list[str]:
        """The kinds of failure that were there before, and are not at the last reading."""
        names = dict.fromkeys(episode.failure.name for episode in self.episodes)
        return [name for name in names if name not in self.present]

    @property
    def text(self) -> str:
        """The verdict in words."""
        if not self.from_history:
            return ", ".join(self.present) or "no failure to be seen in its networks"
        since = {
            name: min(episode.began for episode in self._of(name) if episode.ended is None) for name in self.present
        }
        words = [f"{name} since epoch {number(began)}" for name, began in since.items()]
        words += [f"{name} {self._span(name)}" for name in self.passed]
        if not self.present:
            words = ["no failure at the end", *words] if words else ["no failure"]
        return "; ".join(words)

    def _of(self, name: str) -> list[rules.Episode]:
        return [episode for episode in self.episodes if episode.failure.name == name]

    def _span(self, name: str) -> str:
        began, ended = self._of(name)[0].began, self._of(name)[-1].ended
        return f"from epoch {number(began)} to {number(ended or began)}"

    def table(self) -> Table:
        """Return the failures, one row each."""
        rows: list[list[Cell]] = [
            [
                episode.failure.name,
                episode.failure.layer or None,
                episode.began if self.from_history else None,
                episode.ended if episode.ended is not None else "lasts",
                episode.failure.evidence,
            ]
            for episode in self.episodes
        ]
        return Table(
            name="failures",
            title="What failed, and since when",
            columns=["failure", "layer", "seen from epoch", "until epoch", "evidence"],
            rows=rows or [["none", None, None, None, counted(len(self.readings), "reading")]],
            note=f"The first {rules.EARLY} steps are not judged. Numbers are those of the last reading that failed.",
        )

    def limits(self) -> Table:
        """Return what is judged: at the last reading, at the worst one, and its limit."""
        judged = [row for row in self.readings if row["step"] >= rules.EARLY]
        measures: list[tuple[str, str, Callable[..., float], str]] = [
            ("samples: distance between two, over real", "diversity", min, f"at least {rules.LEAST_SPREAD:g}"),
            ("samples: nearest other, over real", "nearest_sample", min, f"at least {rules.LEAST_NEAREST:g}"),
            ("worst layer: maps without the latent vector", "collapsed", max, f"at most {rules.MOST_COLLAPSED:g}"),
            (
                "generator's loss",
                "generator_loss",
                max,
                f"above {rules.MOST_LOSS:g} over three readings only while samples come nearer",
            ),
            ("samples: distance to real images", "sample_distance", max, "falls, where the loss is high"),
            ("probability of being real, real images", "real_probability", max, f"at most {rules.MOST_SURE:g}, or"),
            (
                "probability of being real, samples",
                "fake_probability",
                min,
                f"at least {1 - rules.MOST_SURE:.2g}; {rules.LEAST_DIFFERENCE:g} apart",
            ),
        ]
        rows: list[list[Cell]] = []
        for label, name, worst, limit in measures:
            values = [value for row in judged if (value := _value(row, name)) is not None]
            if values:
                rows.append([label, values[-1], worst(values), limit])
        return Table(
            name="limits",
            title="What was judged",
            columns=["measure", "last reading", "worst reading", "limit"],
            rows=rows,
            note=f"Worst of {counted(len(judged), 'reading')} after the first {rules.EARLY} steps.",
        )


def _value(row: Row, name: str) -> float | None:
    if name != "collapsed":
        return row.get(name)
    shares = [FilterHealth(**counts).collapsed for counts in row.get("filters", {}).values()]
    return max(shares, default=row.get("collapsed_filters"))

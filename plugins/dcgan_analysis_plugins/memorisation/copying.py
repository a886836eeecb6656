"""Does a generator copy? Tests on the nearest real images of its samples, their power, and one verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import gammaln
from scipy.stats import hypergeom, t

from dcgan_analysis.api.metrics import auc_metric, share_metric
from dcgan_analysis.api.result import Cell, Metric, Table
from dcgan_analysis.core.statistics import percentile_interval, precedence_test, wilson_interval
from dcgan_analysis.core.text import percent
from dcgan_analysis.latents import planted
from dcgan_analysis_plugins.memorisation.nearest_images import COPIES, HASH, HELD_OUT, SAMPLES, nearest_training
from dcgan_analysis_plugins.memorisation.queries import reference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.neighbours import Nearest
    from dcgan_analysis_plugins.memorisation.nearest_images import View
    from dcgan_analysis_plugins.memorisation.queries import Gallery

# Probability of accusing a generator that copies nothing, over all tests together.
_LEVEL = 0.05
_OTHERS = 10
_TAIL = 0.01
_GROUPS, _PERMUTATIONS, _RESAMPLED, _DRAWS = 20, 999, 1000, 100
_FEWEST, _DEEPEST = 64, 1000
# From this share on sharp steps are worth a word: they are none where nothing is memorised.
_MANY_SHARP = 0.01


def depth(gallery: Gallery) -> int:
    """Return how many nearest images are needed, so that a held-out one is among them, and ten of the training."""
    m = gallery.m
    return max(_FEWEST, min(_DEEPEST, math.ceil(8 * (gallery.n + m) / m))) if m else _FEWEST


def relative_distances(nearest: Nearest, n: int) -> NDArray[np.float64]:
    """Return how much nearer the nearest training image is than the next ten: their distances' ratio, (N,).

    Near 0 is a copy of one image; a blurred picture, near to everything, has about 1 (after Carlini et al. 2023, arXiv
    2301.13188, section 4.2).

    Args:
        nearest: Of N images in a gallery.
        n: The training images in it, which come first.

    Example:
        >>> import torch
        >>> from dcgan_analysis.neighbours import nearest_rows
        >>> nearest = nearest_rows(torch.tensor([[0.0]]), [torch.tensor([[1.0], [4.0], [6.0], [0.5]])], k=4)
        >>> relative_distances(nearest, 3).tolist()
        [0.2]
    """
    distances, trained = nearest.ranked_distances.double().numpy(), nearest.ranked_positions.numpy() < n
    rank = trained.cumsum(1)
    first = np.where(trained & (rank == 1), distances, 0).sum(1)
    others = trained & (rank > 1) & (rank <= 1 + _OTHERS)
    mean = np.where(others, distances, 0).sum(1) / np.maximum(1, others.sum(1))
    # Without others, or with all of them at the same place, nothing is nearer than the rest.
    ratios: NDArray[np.float64] = np.divide(first, mean, out=np.ones(len(first)), where=mean > 0)
    return ratios


def nearer_to_training(nearest: Nearest, held_out: NDArray[np.bool_], n: int) -> NDArray[np.float64]:
    """Return the chance that as many random training images as there are held-out ones have one nearer, (N,).

    One half on average for images that know neither. Exact over all draws of training images: with c of n nearer than
    the nearest held-out image, none of m is among m drawn with probability C(n - c, m) / C(n, m).

    Args:
        nearest: Of N images in a gallery; what has no held-out image among them counts as if the next were one.
        held_out: (n + m,) which images of the gallery are held out.
        n: How many are not.

    Example:
        >>> import torch
        >>> from dcgan_analysis.neighbours import nearest_rows
        >>> nearest = nearest_rows(torch.tensor([[0.0]]), [torch.tensor([[1.0], [4.0], [2.0]])], k=3)
        >>> nearer_to_training(nearest, np.array([False, False, True]), 2).round(3).tolist()
        [0.5]
    """
    hits = held_out[nearest.ranked_positions.numpy()]
    nearer = np.where(hits.any(1), hits.argmax(1), hits.shape[1]).astype(np.float64)
    m = int(held_out.sum())
    left = np.maximum(n - nearer, m)
    missed = np.exp(gammaln(left + 1) - gammaln(left - m + 1) - gammaln(n + 1) + gammaln(n - m + 1))
    return np.where(n - nearer < m, 1.0, 1 - missed)


class _Test(Protocol):
    """A test of samples, of which some are replaced by copies.

    Attributes:
        metric: What was measured of all samples.
        expected: What it is without memorisation.
        copies: What it is of copies alone.
    """

    metric: Metric
    expected: float
    copies: float

    def chance(self, kept: NDArray[np.int64], planted: NDArray[np.int64]) -> float:
        """Return the one-sided p-value for samples and copies at these positions."""
        ...


class Preference:
    """Samples are nearer to training than to held-out images, more often than if these were dealt out at random.

    The samples share the few held-out images, so these decide together: the p-value is that of a permutation test over
    images, each time others being called held out. The interval has the samples' variance and that of the images: the
    jackknife's over groups of held-out ones, on average not too small (Efron and Stein 1981, Annals of Statistics
    9:586), or that of the permutations where few images are near to all samples and these are larger.
    """

    expected = 0.5

    def __init__(self, name: str, nearest: Mapping[str, Nearest], gallery: Gallery, rng: np.random.Generator) -> None:
        n, m = gallery.n, gallery.m
        held_out = np.arange(n + m) >= n
        masks = [held_out, *(rng.permutation(held_out) for _ in range(_PERMUTATIONS))]
        self._shares = {
            source: np.stack([nearer_to_training(nearest[source], mask, n) for mask in masks]).astype(np.float32)
            for source in (SAMPLES, COPIES)
        }
        self.copies = float(self._shares[COPIES][0].mean())
        each = self._shares[SAMPLES][0].astype(np.float64)
        groups = min(_GROUPS, m)
        group = rng.permutation(np.arange(m) % groups)
        without = np.array(
            [
                nearer_to_training(nearest[SAMPLES], held_out & np.r_[np.ones(n, bool), group != g], n).mean()
                for g in range(groups)
            ]
        )
        jackknife = (groups - 1) ** 2 / groups * float(without.var(ddof=1))
        over_images = max(jackknife, float(self._shares[SAMPLES].mean(axis=1).var()))
        half = float(t.ppf(0.975, groups - 1)) * math.sqrt(over_images + each.var(ddof=1) / len(each))
        value = float(each.mean())
        self.metric = Metric(
            value=value,
            low=max(0.0, value - half),
            high=min(1.0, value + half),
            interval="95 % over images and samples",
            n=len(each),
            higher_is_better=False,
            description=f"samples nearer to training images than to as many held-out ones, by {name}",
        )

    def chance(self, kept: NDArray[np.int64], planted: NDArray[np.int64]) -> float:
        """See :class:`_Test`."""
        samples, copies = self._shares[SAMPLES], self._shares[COPIES]
        totals = samples @ np.bincount(kept, minlength=samples.shape[1]).astype(np.float32)
        totals = totals + copies @ np.bincount(planted, minlength=copies.shape[1]).astype(np.float32)
        # As many, up to the rounding of the sums.
        return (1 + int((totals[1:] >= totals[0] - 1e-3).sum())) / len(totals)


class NearCopies:
    """More samples than chance allows are nearer to one image, beside its neighbours, than real images are."""

    def __init__(
        self, name: str, ratios: Mapping[str, NDArray[np.float64]], real: np.ndarray, rng: np.random.Generator
    ) -> None:
        self._ratios, self._real = ratios, real
        self._rank = max(1, round(_TAIL * len(real)))
        border = np.partition(real, self._rank - 1)[self._rank - 1]
        self.expected = self._rank / (len(real) + 1)
        self.copies = float((ratios[COPIES] < border).mean())
        samples = ratios[SAMPLES]
        n, value = len(samples), float((samples < border).mean())
        shares = []
        for _ in range(_RESAMPLED):
            drawn = np.partition(real[rng.integers(len(real), size=len(real))], self._rank - 1)[self._rank - 1]
            shares.append(float((samples[rng.integers(n, size=n)] < drawn).mean()))
        low, high = percentile_interval(value, shares)
        # Of no sample, or of all, every resample has none, or all.
        least, most = wilson_interval(round(value * n), n)
        self.metric = Metric(
            value=value,
            low=min(low, least),
            high=max(high, most),
            interval="95 % bootstrap over samples and real images, no shorter than Wilson's",
            n=n,
            higher_is_better=False,
            description=f"samples nearer to one training image, beside the next ten, than the nearest {self._rank} of "
            f"{len(real)} real images, by {name}",
        )

    def chance(self, kept: NDArray[np.int64], planted: NDArray[np.int64]) -> float:
        """See :class:`_Test`."""
        ratios = np.concatenate([self._ratios[SAMPLES][kept], self._ratios[COPIES][planted]])
        return precedence_test(ratios, self._real, self._rank)[1]


class Collisions:
    """More samples than real images have the semantic hash of a training image; Fisher's exact test."""

    def __init__(self, hits: Mapping[str, NDArray[np.bool_]], real: NDArray[np.bool_], bits: int) -> None:
        self._hits, self._real = hits, real
        self.expected, self.copies = float(real.mean()), float(hits[COPIES].mean())
        text = f"samples whose semantic hash is a training image's, up to {bits} of 128 bits"
        self.metric = share_metric(hits[SAMPLES], text, higher_is_better=False)

    def chance(self, kept: NDArray[np.int64], planted: NDArray[np.int64]) -> float:
        """See :class:`_Test`."""
        ours, theirs = int(self._hits[SAMPLES][kept].sum() + self._hits[COPIES][planted].sum()), int(self._real.sum())
        n = len(kept) + len(planted)
        return float(hypergeom.sf(ours - 1, n + len(self._real), ours + theirs, n)) if ours else 1.0


class Evidence:
    """All tests, what copies they would have found, and one verdict.

    Args:
        views: Ways of seeing, by name; ``HASH`` is among them.
        neighbours: View -> source -> the nearest images of the gallery.
        gallery: What was looked up in.
        sharp: (T,) which steps of a walk are sharp transitions.
        bits: In how many bits hashes that collide may differ.
        rng: Source of permutations, resamples and planted copies.

    Attributes:
        metrics: All numbers by name.
        verdict: One line.
    """

    def __init__(
        self,
        views: Mapping[str, View],
        neighbours: Mapping[str, Mapping[str, Nearest]],
        gallery: Gallery,
        sharp: np.ndarray,
        *,
        bits: int,
        rng: np.random.Generator,
    ) -> None:
        self._tests: dict[str, _Test] = {}
        self.metrics: dict[str, Metric] = {}
        for name, nearest in neighbours.items():
            trained = {source: nearest_training(of, gallery.n)[0] for source, of in nearest.items()}
            real = reference(views[name], trained)
            if name == HASH:
                hits = {source: distances <= bits for source, distances in trained.items()}
                self._add("hash collisions", "hash_collisions", Collisions(hits, real <= bits, bits))
                continue
            self._closer(name, trained[SAMPLES], real)
            if HELD_OUT in nearest and gallery.m > 1:
                self._add(
                    f"prefers training, {name}", f"prefers_training_{name}", Preference(name, nearest, gallery, rng)
                )
            ratios = {source: relative_distances(of, gallery.n) for source, of in nearest.items()}
            copies = NearCopies(name, ratios, reference(views[name], ratios), rng)
            self._add(f"near copies, {name}", f"near_copies_{name}", copies)
        samples, planted_copies = (len(neighbours[HASH][source].distances) for source in (SAMPLES, COPIES))
        # Bonferroni's correction keeps the level of all tests together.
        self._level = _LEVEL / len(self._tests)
        self._chances = self._p_values(np.arange(samples), np.arange(0))
        self._positive = [name for name, p in self._chances.items() if p < self._level]
        self._power = planted.measure_power(self._signs, samples, planted_copies, draws=_DRAWS, rng=rng)
        self.verdict = planted.verdict(self._positive, self._power)
        text = "steps of a walk that are sharp transitions"
        self.metrics["sharp_steps"] = share_metric(sharp, text, higher_is_better=False)
        self.metrics |= planted.power_metrics(self._power)

    def _add(self, title: str, name: str, test: _Test) -> None:
        self._tests[title] = test
        self.metrics[name] = test.metric

    def _closer(self, name: str, samples: np.ndarray, real: np.ndarray) -> None:
        text = f"chance that a sample is nearer to a training image than another real image is, by {name}"
        self.metrics[f"closer_than_real_{name}"] = auc_metric(samples, real, text, higher_is_better=None)

    def _p_values(self, kept: NDArray[np.int64], copies: NDArray[np.int64]) -> dict[str, float]:
        return {name: test.chance(kept, copies) for name, test in self._tests.items()}

    def _signs(self, kept: NDArray[np.int64], copies: NDArray[np.int64]) -> dict[str, bool]:
        """Say which tests find something."""
        return {name: p < self._level for name, p in self._p_values(kept, copies).items()}

    def tables(self, context: RunContext) -> Sequence[Table]:
        """List the tests, and draw and list their power."""
        rows: list[list[Cell]] = [
            [
                name,
                test.metric.value,
                test.expected,
                test.copies,
                round(self._chances[name], 6),
                self._power.of(name),
                self._power.answer(name, sign=name in self._positive),
            ]
            for name, test in self._tests.items()
        ]
        sharp = self.metrics["sharp_steps"]
        jumps = "yes, alone no proof" if (sharp.low or 0.0) > _MANY_SHARP else "not counted"
        rows.append(["sharp transitions", sharp.value, None, None, None, None, jumps])
        power = f"{percent(planted.STATED, 0)} found in"
        columns = ["test", "samples", "expected", "copies", "p", power, "a sign"]
        evidence = Table(
            name="evidence",
            title=f"Verdict: {self.verdict}",
            columns=columns,
            rows=rows,
            percent=["samples", "expected", "copies", power],
            note=f"A sign is p < {self._level:.4f}, {percent(_LEVEL, 0)} over {len(self._tests)} tests. "
            "Expected: without memorisation. Copies: perturbed training images in place of all samples. No is said "
            f"only where planted copies are found in {percent(planted.ENOUGH, 0)} of draws. That samples are nearer "
            "than real images does not count, as blurred ones are nearer to everything; nor do sharp transitions "
            "decide alone.",
        )
        return [evidence, planted.save_power(context, self._power, "Perturbed training images in place of samples.")]

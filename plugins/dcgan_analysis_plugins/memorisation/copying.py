"""Does a generator copy? Tests on distances to training images, and the verdict that they come to together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.api.result import Cell, Metric, Table
from dcgan_analysis.core.statistics import auc_interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from dcgan_analysis.neighbours import Nearest

SAMPLES, REAL, COPIES = "samples", "held-out images", "copies (control)"
"""The sources of images whose nearest training images are looked up."""

FEATURES, HASH = "features", "hash"
"""Views that have tests of their own."""

# Shares from which near copies and sharp steps speak of memorisation: well above what chance gives (1 % and 0).
_MANY_COPIES, _MANY_SHARP = 0.05, 0.01


def prefers_training(within: np.ndarray, to_held_out: np.ndarray) -> tuple[float, list[float]]:
    """Return the share of queries nearer to training images, and the same among training images alone.

    Args:
        within: (2 K, N) distances to the nearest of 2 K disjoint-by-pairs random subsets of training images.
        to_held_out: (N,) distances to the nearest of as many held-out images.

    Returns:
        The share nearer to training than to held-out images, mean over the 2 K subsets, ties half; and K shares nearer
        to the first of a pair of subsets than to the second.

    Example:
        >>> import numpy as np
        >>> prefers_training(np.array([[1.0, 3.0], [1.0, 3.0]]), np.array([2.0, 2.0]))
        (0.5, [0.5])
    """

    def nearer(first: np.ndarray, second: np.ndarray) -> float:
        return float((first < second).mean() + (first == second).mean() / 2)

    share = sum(nearer(distance, to_held_out) for distance in within) / len(within)
    return share, [nearer(a, b) for a, b in zip(within[0::2], within[1::2], strict=True)]


def perturbed_copies(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return images, uint8 (N, C, H, W), brightened by 3 %, with noise of 2 shades: what such tests must find."""
    import numpy as np

    noisy = 1.03 * images.astype(np.float32) + rng.normal(0, 2, images.shape)
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


class Evidence:
    """All tests, and one verdict.

    Args:
        neighbours: View -> source -> the nearest training images; the views ``FEATURES`` and ``HASH`` are among them.
        held_out: View -> source -> (N,) distances to the nearest of as many held-out images; empty without these.
        sharp: (T,) which steps of a walk are sharp transitions.
        bits: In how many bits hashes that collide may differ.

    Attributes:
        metrics: All numbers by name.
    """

    def __init__(
        self,
        neighbours: Mapping[str, Mapping[str, Nearest]],
        held_out: Mapping[str, Mapping[str, np.ndarray]],
        sharp: np.ndarray,
        *,
        bits: int,
    ) -> None:
        self.metrics: dict[str, Metric] = {}
        self._rows: list[list[Cell]] = []
        self._signs: list[str] = []
        for name in neighbours:
            if name != HASH:
                self._closer(name, neighbours[name])
        for name, distances in held_out.items():
            self._preference(name, neighbours[name], distances)
        self._near_copies(neighbours[FEATURES])
        self._collisions(neighbours[HASH], bits)
        low, high = wilson_interval(int(sharp.sum()), len(sharp))
        self._add(
            "sharp_steps", float(sharp.mean()), low, high, len(sharp), "steps of a walk that are sharp transitions"
        )
        # A jumping generator need not have memorised anything: alone this proves nothing.
        self._row("sharp transitions", "sharp_steps", None, None, low > _MANY_SHARP, decides=False)

    @property
    def verdict(self) -> str:
        """One line."""
        return f"memorising ({'; '.join(self._signs)})" if self._signs else "no sign of it"

    def _add(self, name: str, value: float, low: float, high: float, n: int, text: str) -> None:
        kind = "DeLong" if name.startswith("closer") else "Wilson"
        better = None if name.startswith(("real_", "copy_")) else False
        self.metrics[name] = Metric(
            value=value, low=low, high=high, interval=f"95 % {kind}", n=n, higher_is_better=better, description=text
        )

    def _row(
        self,
        test: str,
        name: str,
        reference: float | None,
        copies: float | None,
        sign: bool | None,
        *,
        decides: bool = True,
    ) -> None:
        metric = self.metrics[name]
        answer = "not counted" if sign is None else "yes" if sign else "no"
        self._rows.append([test, metric.value, reference, copies, answer])
        if sign and decides:
            self._signs.append(test)

    def _closer(self, name: str, nearest: Mapping[str, Nearest]) -> None:
        samples, real, copies = (nearest[source].distances.tolist() for source in (SAMPLES, REAL, COPIES))
        text = f"chance that a sample is nearer to a training image than a held-out image is, by {name}"
        self._add(f"closer_than_real_{name}", *auc_interval(samples, real), len(samples), text)
        # Blurred images are nearer to everything: this alone is no sign.
        self._row(f"nearer than real, {name}", f"closer_than_real_{name}", 0.5, auc_interval(copies, real)[0], None)

    def _preference(self, name: str, nearest: Mapping[str, Nearest], to_held_out: Mapping[str, np.ndarray]) -> None:
        share, chance = prefers_training(nearest[SAMPLES].within.numpy(), to_held_out[SAMPLES])
        copies, _ = prefers_training(nearest[COPIES].within.numpy(), to_held_out[COPIES])
        n = len(to_held_out[SAMPLES])
        low, high = wilson_interval(round(share * n), n)
        text = f"samples nearer to training images than to as many held-out ones, by {name}"
        self._add(f"prefers_training_{name}", share, min(low, share), max(high, share), n, text)
        beyond = max(max(fraction, 1 - fraction) for fraction in chance)
        self._row(f"prefers training, {name}", f"prefers_training_{name}", beyond, copies, low > 0.5 and share > beyond)

    def _near_copies(self, nearest: Mapping[str, Nearest]) -> None:
        import numpy as np

        border = float(np.quantile(nearest[REAL].distances.numpy(), 0.01))
        near = {source: (nearest[source].distances.numpy() < border) for source in (SAMPLES, COPIES)}
        hits, n = int(near[SAMPLES].sum()), len(near[SAMPLES])
        low, high = wilson_interval(hits, n)
        self._add(
            "near_copies", hits / n, low, high, n, "samples nearer, by features, than the nearest 1 % of real images"
        )
        self._row("near copies, features", "near_copies", 0.01, float(near[COPIES].mean()), low > _MANY_COPIES)

    def _collisions(self, nearest: Mapping[str, Nearest], bits: int) -> None:
        for source, prefix in ((SAMPLES, ""), (REAL, "real_"), (COPIES, "copy_")):
            hit = nearest[source].distances <= bits
            low, high = wilson_interval(int(hit.sum()), len(hit))
            text = f"{source} whose semantic hash is a training image's, up to {bits} of 128 bits"
            self._add(f"{prefix}hash_collisions", float(hit.float().mean()), low, high, len(hit), text)
        real, copies = self.metrics["real_hash_collisions"], self.metrics["copy_hash_collisions"]
        sign = (self.metrics["hash_collisions"].low or 0.0) > (real.high or 0.0)
        self._row("hash collisions", "hash_collisions", real.value, copies.value, sign)

    def table(self) -> Table:
        """List the tests."""
        columns = ["test", "samples", "expected", "copies", "a sign"]
        return Table(
            name="evidence",
            title=f"Verdict: {self.verdict}",
            columns=columns,
            rows=self._rows,
            percent=columns[1:4],
            note="Expected: chance, held-out images, or the most that random halves of the training images give. "
            "Copies: perturbed training images in place of samples. Nearness alone does not count, as blurred images "
            "are nearer to everything; nor do sharp transitions decide alone.",
        )

"""Failures of GAN training told from its history, each with its evidence; the monitors measure, here is judged.

    mode collapse                  samples of different latent vectors are alike
    collapsing filters             maps of a generator layer that no longer depend on the latent vector, or never fire:
                                   the instability of arXiv 1511.06434, section 7, "a subset of filters [collapse] to a
                                   single oscillating mode"
    discriminator ahead            it tells real from generated images so well that the generator no longer gains on it
    discriminator saturated        it is never wrong: the generator's gradient vanishes
    discriminator at a standstill  its output is one half for every image: the generator has no gradient

The trainer warns by the same rules as the analysis ``stability`` judges by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Row = Mapping[str, Any]

COLLAPSE, FILTERS = "mode collapse", "collapsing filters"
AHEAD, SATURATED, STANDSTILL = "discriminator ahead", "discriminator saturated", "discriminator at a standstill"
FAILURES = (COLLAPSE, FILTERS, AHEAD, SATURATED, STANDSTILL)

LEAST_SPREAD = 0.5
"""A healthy DCGAN's samples lie nearly as far apart as real images do; half of it is far below any of them."""
LEAST_NEAREST = 0.4
"""Few kinds of samples: that next to one is far nearer than real images come to each other.

Of the eight shipped networks it is 0.9 to 1.3 times as far; of a conditional one that knew two or three pictures of
each class, 0.2.
"""
MOST_COLLAPSED = 0.1
"""Share of a layer's maps."""
MOST_LOSS = 3.0
"""The generator's loss, mean over three intervals."""
LEAST_GAIN = 0.05
"""How much nearer to real images the best of the last three readings is than the best before them."""
MOST_SURE = 0.97
LEAST_DIFFERENCE = 0.01
EARLY = 1000
"""Steps before which nothing is judged: healthy trainings begin with samples that are alike, and some with a
discriminator that is never wrong for the first 360; the last reading beyond a limit came at 520 (docs/stability.md)."""

_WINDOW = 3


@dataclass(frozen=True)
class Failure:
    """A failure at one reading.

    Attributes:
        name: One of ``FAILURES``.
        evidence: The numbers, with their limits.
        layer: Where it is one of a layer.
    """

    name: str
    evidence: str
    layer: str = ""

    def __str__(self) -> str:
        """Return the line that a training warns with."""
        where = f" in the generator's '{self.layer}'" if self.layer else ""
        return f"{self.name.capitalize()}{where}: {self.evidence}"


@dataclass(frozen=True)
class Episode:
    """A failure over time.

    Attributes:
        failure: As it was last seen.
        began: Epoch at the end of the interval in which it was first seen.
        ended: Epoch of the first reading without it; None: it lasts to the end of the history.
    """

    failure: Failure
    began: float
    ended: float | None


def failures(history: Sequence[Row]) -> list[Failure]:
    """Return what has failed at the last reading of a history.

    Args:
        history: Rows of ``history.json``, one an interval. What a row of an older release does not hold is not judged.

    Example:
        >>> [failure.name for failure in failures([{"step": 1200, "diversity": 0.2, "nearest_sample": 0.3}])]
        ['mode collapse']
    """
    row = history[-1]
    if row["step"] < EARLY:
        return []
    return [*_collapse(row), *_filters(row), *_discriminator(row), *_ahead(history)]


def episodes(history: Sequence[Row]) -> list[Episode]:
    """Return all failures of a history, in the order in which they began; one that paused for a reading is one."""
    seen: dict[tuple[str, str], list[tuple[int, Failure]]] = {}
    for number in range(len(history)):
        for failure in failures(history[: number + 1]):
            seen.setdefault((failure.name, failure.layer), []).append((number, failure))
    unordered = (episode for readings in seen.values() for episode in _episodes(readings, history))
    return sorted(unordered, key=lambda episode: episode.began)


def _episodes(readings: Sequence[tuple[int, Failure]], history: Sequence[Row]) -> Iterator[Episode]:
    began = readings[0][0]
    for (number, failure), later in zip(readings, [*(at for at, _ in readings[1:]), None], strict=True):
        if later is not None and later <= number + 2:
            continue
        over = number + 1 < len(history)
        yield Episode(failure, history[began]["epoch"], history[number + 1]["epoch"] if over else None)
        began = number if later is None else later


def _collapse(row: Row) -> Iterator[Failure]:
    spread, nearest = row.get("diversity", 1.0), row.get("nearest_sample", 1.0)
    if spread < LEAST_SPREAD or nearest < LEAST_NEAREST:
        yield Failure(
            COLLAPSE,
            f"samples lie {spread:.2f} times as far apart as real images, and the nearest other {nearest:.2f} times "
            f"(warned below {LEAST_SPREAD:g} and {LEAST_NEAREST:g}).",
        )


def _filters(row: Row) -> Iterator[Failure]:
    limit = f"(warned above {MOST_COLLAPSED:.0%} of the maps)."
    for layer, maps in row.get("filters", {}).items():
        if maps["dead"] + maps["fixed"] > MOST_COLLAPSED * maps["maps"]:
            yield Failure(
                FILTERS,
                f"of {maps['maps']} maps {maps['dead']} never change and {maps['fixed']} show one picture whatever the "
                f"latent vector, {maps['oscillating']} of them another one than at the reading before {limit}",
                layer,
            )
    # Before rows held the counts of every layer, they held the share of the worst.
    if "filters" not in row and row.get("collapsed_filters", 0.0) > MOST_COLLAPSED:
        yield Failure(FILTERS, f"{row['collapsed_filters']:.0%} of the maps of the worst generator layer {limit}")


def _discriminator(row: Row) -> Iterator[Failure]:
    real, fake = row.get("real_probability"), row.get("fake_probability")
    if real is None or fake is None:
        return
    evidence = f"mean probability of being real {real:.3f} for real and {fake:.3f} for generated images"
    if real > MOST_SURE and fake < 1 - MOST_SURE:
        yield Failure(SATURATED, f"{evidence} (warned beyond {MOST_SURE:g} and {1 - MOST_SURE:.2f}).")
    elif abs(real - fake) < LEAST_DIFFERENCE:
        yield Failure(STANDSTILL, f"{evidence} (warned below a difference of {LEAST_DIFFERENCE:g}).")


def _ahead(history: Sequence[Row]) -> Iterator[Failure]:
    """A high loss alone is no failure: of healthy trainings too it is high as long as samples get better."""
    before, last = history[:-_WINDOW], history[-_WINDOW:]
    losses = [row["generator_loss"] for row in last if "generator_loss" in row and row["step"] >= EARLY]
    if len(losses) < _WINDOW or not before or (loss := sum(losses) / _WINDOW) <= MOST_LOSS:
        return
    measured = all("sample_distance" in row for row in history)
    name, what = (
        ("sample_distance", "the distance of samples to real images")
        if measured
        else ("generator_loss", "the generator's loss (the history holds no distance of samples)")
    )
    best, best_before = (min(row[name] for row in rows) for rows in (last, before))
    if best > (1 - LEAST_GAIN) * best_before:
        yield Failure(
            AHEAD,
            f"the generator's loss is {loss:.2f} over {_WINDOW} readings, and {what} has come to {best:.3g} at best, "
            f"from {best_before:.3g} before them (warned above a loss of {MOST_LOSS:g} without a gain of "
            f"{LEAST_GAIN:.0%}).",
        )

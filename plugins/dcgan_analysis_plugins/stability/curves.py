"""Curves of a training over its epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dcgan_analysis import figures
from dcgan_analysis.training import failures as rules
from dcgan_analysis.training.monitors import FilterHealth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    Row = Mapping[str, Any]

__all__ = ["curves"]


def curves(history: Sequence[Row], of_states: Sequence[Row]) -> dict[str, tuple[str, str, Figure]]:
    """Return name -> title, caption and figure; of what the rows hold.

    Args:
        history: Rows of a history; without any there are no curves.
        of_states: Rows with the filters of states.
    """
    drawn: dict[str, tuple[str, str, Figure]] = {}

    def add(
        name: str,
        title: str,
        caption: str,
        lines: Mapping[str, str],
        y_label: str,
        *,
        limits: Mapping[str, float] | None = None,
        fractions: bool = False,
    ) -> None:
        rows = [row for row in history if all(key in row for key in lines.values())]
        if rows:
            series = {label: _series(rows, [row[key] for row in rows]) for label, key in lines.items()}
            drawn[name] = title, caption, _curve(series, y_label, limits, fractions=fractions)

    add(
        "losses",
        "Losses",
        "Means over each interval. 2 ln 2 = 1.39 for a discriminator that cannot tell.",
        {"generator": "generator_loss", "discriminator": "discriminator_loss"},
        "loss",
        limits={"high for a generator": rules.MOST_LOSS},
    )
    add(
        "distance",
        "Do samples come nearer to real images?",
        "Distance between patches of 64 samples and of 64 real images; asks no discriminator.",
        {"samples": "sample_distance", "other real images": "real_distance"},
        "distance of patches",
    )
    add(
        "probabilities",
        "What the discriminator says in training",
        "Its mean output, the probability that an image is real.",
        {"real images": "real_probability", "generated images": "fake_probability"},
        "probability",
        fractions=True,
    )
    add(
        "diversity",
        "Do samples differ?",
        "Distances between 64 samples over those between real images; near 0: collapse.",
        {"all pairs": "diversity", "nearest other": "nearest_sample"},
        "ratio",
        limits={"least, all pairs": rules.LEAST_SPREAD, "least, nearest": rules.LEAST_NEAREST},
    )
    rows = [row for row in history if "filters" in row] or list(of_states)
    layers = rows[-1]["filters"] if rows else {}
    if layers:
        series = {
            layer: _series(rows, [FilterHealth(**row["filters"][layer]).collapsed for row in rows]) for layer in layers
        }
        drawn["filters"] = (
            "Filters that ignore the latent vector",
            "Share of a generator layer's maps that are constant or show one picture whatever the latent vector.",
            _curve(series, "share of maps", {"limit": rules.MOST_COLLAPSED}, fractions=True),
        )
    return drawn


def _series(rows: Sequence[Row], values: Sequence[float]) -> figures.Series:
    return figures.Series([row["epoch"] for row in rows], values)


def _curve(
    series: Mapping[str, figures.Series], y_label: str, limits: Mapping[str, float] | None, *, fractions: bool
) -> Figure:
    return figures.curve(series, x_label="epochs", y_label=y_label, log_x=False, fractions=fractions, published=limits)

"""What dropping feature maps does to an object, for the report: a dose curve, pictures, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dcgan_analysis.api.result import Cell, Table
from dcgan_analysis_plugins.filter_dropout.forgetting import CHOSEN, NEGATIVE, RANDOM, weakest_and_strongest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis_plugins.filter_dropout.forgetting import Forgetful, Orders, Scene, Shares

__all__ = ["dose_figure", "outcome_table", "sample_figures", "weights_table"]

_SHOWN = 12  # columns of the figures


def dose_figure(context: RunContext, shares: Shares, most: int) -> None:
    """Draw the share of the object that is left against the number of maps dropped."""
    from dcgan_analysis import figures
    from dcgan_analysis.core.statistics import spread_interval

    series, whole = {}, float(shares.before.mean())
    for kind in (CHOSEN, RANDOM, NEGATIVE):
        doses = shares.by_dose[kind]
        spread = [spread_interval([float(np.mean(share)) for share in doses[dose]]) for dose in doses]
        mean, low, high = ([whole, *part] for part in zip(*spread, strict=True))
        drawn = kind == RANDOM
        series[kind] = figures.Series(
            [0, *doses], mean, [max(0.0, end) for end in low] if drawn else None, high if drawn else None
        )
    figure = figures.curve(
        series, x_label="maps dropped", y_label="positions that show the object, new samples", log_x=False
    )
    context.save_figure(
        figure,
        "dose",
        "What each further map takes away",
        f"Maps of positive weight, largest first, {most} in all; band: 1.96 standard deviations over random draws.",
    )


def sample_figures(
    context: RunContext, forgetful: Forgetful, boxed: Scene, new: Scene, shares: Shares, orders: Orders
) -> None:
    """Draw new samples with and without the maps, what stood in the boxes and what stands there now, and the boxes."""
    from dcgan_analysis import figures
    from dcgan_analysis.checkpoints.sampling import as_bytes
    from dcgan_analysis_plugins.filter_dropout.marks import cut_out, framed

    drops = ((), orders[CHOSEN][0].tolist(), orders[RANDOM][0].tolist())
    shown = np.argsort(-shares.before, kind="stable")[: 2 * _SHOWN]
    rows = [as_bytes(context.checkpoint, forgetful.draw(new, maps)[shown]) for maps in drops]
    blocks = [row[start : start + _SHOWN] for start in range(0, len(shown), _SHOWN) for row in rows]
    context.save_figure(
        figures.image_grid(np.concatenate(blocks), len(blocks[0])),
        "new-samples",
        "New samples: with all maps, without those of the object, without as many random ones",
        "Rows of three; the same latent vectors in each column. Those in which the detector saw most of the object.",
    )
    before, after, control = (as_bytes(context.checkpoint, forgetful.draw(boxed, maps)) for maps in drops)
    places = [(row, box) for row, boxes in enumerate(boxed.boxes) for box in boxes][: 2 * _SHOWN]
    cuts = [[cut_out(images[row], box) for row, box in places] for images in (before, after, control)]
    blocks = [np.stack(cut[start : start + _SHOWN]) for start in range(0, len(places), _SHOWN) for cut in cuts]
    context.save_figure(
        figures.image_grid(np.concatenate(blocks), len(blocks[0]), scale=2),
        "replaced",
        "What replaced the object: the boxes before, after, and without as many random maps",
        "Rows of three; each column is one box with half its size around it.",
    )
    framed_samples = [framed(image, boxes) for image, boxes in zip(before, boxed.boxes, strict=True)]
    context.save_figure(
        figures.image_grid(np.stack(framed_samples[: 2 * _SHOWN]), _SHOWN, scale=1),
        "boxes",
        "The boxes",
        f"The first of {len(before)} samples that have boxes.",
    )


def outcome_table(shares: Shares, orders: Orders, changes: Mapping[str, tuple[float, float]]) -> Table:
    """Return what each kind of dropping did."""
    rows: list[list[Cell]] = []
    for kind, drawn in orders.items():
        count = len(drawn[0])
        left = float(np.mean(shares.by_dose[kind][count])) if count else float(shares.before.mean())
        gone = float(np.mean(shares.removed(kind, count)))
        rows.append([kind, count, float(shares.before.mean()), left, gone, *changes[kind]])
    columns = ["dropped", "maps", "before", "after", "removed", "changed inside", "outside"]
    return Table(
        name="dropping",
        title="Maps dropped and the object",
        columns=columns,
        rows=rows,
        percent=columns[2:],
        note="Before, after: positions of new samples that show the object. Changed: pixels of the boxed samples, in "
        "and outside of the boxes, as a share of their range. Random maps: mean over draws.",
    )


def weights_table(weights: NDArray[np.float64]) -> Table:
    """Return the maps that speak most for and against the object."""
    strongest, weakest = weakest_and_strongest(weights)
    rows: list[list[Cell]] = [
        ["for" if weights[number] > 0 else "against", int(number), float(weights[number])]
        for number in (*strongest[:5], *weakest[:5])
    ]
    return Table(
        name="weights", title="Maps that speak for and against the object", columns=["", "map", "weight"], rows=rows
    )

"""Whether a test of memorisation would have seen copies: its power, by planting them, and the verdict that it allows.

A test that finds nothing says something only if it finds what is there. So a share of what is tested is replaced by
what a generator would give that had memorised, again and again, and it is counted how often the test finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dcgan_analysis.api.metrics import share_metric
from dcgan_analysis.api.result import Metric, Table
from dcgan_analysis.core.text import percent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from dcgan_analysis.api.context import RunContext

SHARES = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1)
"""Shares of planted copies that the curve of power has."""

STATED = 0.05
"""The share that must be found before "no sign" is said."""

ENOUGH = 0.8
"""Power from which a test that finds nothing is believed."""


@dataclass(frozen=True)
class Power:
    """How often tests find planted copies.

    Attributes:
        detected: Test -> (S, D) whether it found them, for S shares and D draws; ``ANY`` is whether one of them did.
    """

    detected: Mapping[str, NDArray[np.bool_]]

    def of(self, test: str) -> float:
        """Return the share of draws in which a test finds copies of the stated share."""
        return float(self.detected[test][SHARES.index(STATED)].mean())

    def least(self, test: str) -> float | None:
        """Return the least share from which on a test finds copies in four of five draws; None: not up to 10 %."""
        rates = self.detected[test].mean(axis=1)
        enough = [bool((rates[at:] >= ENOUGH).all()) for at in range(len(SHARES))]
        return SHARES[enough.index(True)] if any(enough) else None

    def answer(self, test: str, *, sign: bool) -> str:
        """Return ``yes``, ``no``, or ``cannot tell`` where the test would not have found copies."""
        return "yes" if sign else "no" if self.of(test) >= ENOUGH else "cannot tell"


ANY = "any of them"


def measure_power(
    signs: Callable[[NDArray[np.int64], NDArray[np.int64]], Mapping[str, bool]],
    n: int,
    copies: int,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Power:
    """Plant copies among n cases, drawn with replacement, and count how often tests find them.

    Args:
        signs: Of the cases kept, and of the copies put in their place, by position: which tests find something.
        n: Number of cases.
        copies: Number of copies there are; where too few, they are drawn again.
        draws: D.
        rng: Source of the draws.

    Example:
        >>> import numpy as np
        >>> def signs(kept, planted):
        ...     return {"at least five": len(planted) >= 5}
        >>> measure_power(signs, 100, 10, draws=3, rng=np.random.default_rng(0)).least("at least five")
        0.05
    """
    import numpy as np

    detected: dict[str, list[list[bool]]] = {}
    for at, planted in enumerate(SHARES):
        put = round(planted * n)
        for _ in range(draws):
            each = signs(rng.integers(n, size=n - put), rng.choice(copies, put, replace=put > copies))
            for test, sign in {**each, ANY: any(each.values())}.items():
                detected.setdefault(test, [[] for _ in SHARES])[at].append(sign)
    return Power({test: np.array(rows) for test, rows in detected.items()})


def verdict(signs: Sequence[str], power: Power) -> str:
    """Return one line: signs of memorisation, none, or that the tests cannot tell."""
    if signs:
        return f"signs of memorisation ({'; '.join(signs)})"
    rate = power.of(ANY)
    planted = f"{percent(STATED, 0)} planted copies are found in {percent(rate, 0)} of draws"
    return f"no sign of memorisation ({planted})" if rate >= ENOUGH else f"cannot tell ({planted})"


def power_metrics(power: Power) -> dict[str, Metric]:
    """Return ``power``, of all tests together at the stated share, and ``least_found``, where there is one."""
    rows = power.detected[ANY][SHARES.index(STATED)]
    text = f"draws in which {percent(STATED, 0)} planted copies are found by a test"
    metrics = {"power": share_metric(rows, text, higher_is_better=True)}
    least = power.least(ANY)
    if least is not None:
        text = f"least share of planted copies found in {percent(ENOUGH, 0)} of draws"
        metrics["least_found"] = Metric(value=least, n=len(rows), higher_is_better=False, description=text)
    return metrics


def save_power(context: RunContext, power: Power, planted: str) -> Table:
    """Save the curve of power as a figure, and return it as a table.

    Args:
        context: The run.
        power: What was measured.
        planted: What the copies are, for the caption.
    """
    from dcgan_analysis import figures
    from dcgan_analysis.core.statistics import wilson_interval

    rows = power.detected[ANY]
    ends = [wilson_interval(int(row.sum()), len(row)) for row in rows]
    line = figures.Series(
        [100 * share for share in SHARES],
        rows.mean(axis=1).tolist(),
        low=[low for low, _ in ends],
        high=[high for _, high in ends],
    )
    figure = figures.curve(
        {ANY: line},
        x_label="planted copies, %",
        y_label="found by any test in",
        log_x=False,
        published={"needed to say that there are none": ENOUGH},
    )
    draws = power.detected[ANY].shape[1]
    caption = f"{planted} {draws} draws for each share; the band is 95 % Wilson. At 0 nothing is planted."
    context.save_figure(figure, "power", "How often planted copies are found", caption)
    names = list(power.detected)
    columns = ["planted", *names]
    return Table(
        name="power",
        title="How often planted copies are found",
        columns=columns,
        rows=[[share, *(float(power.detected[name][at].mean()) for name in names)] for at, share in enumerate(SHARES)],
        percent=columns,
        note=f"{planted} {draws} draws for each share.",
    )

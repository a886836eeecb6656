"""Metrics that many analyses report, each with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from dcgan_analysis.api.result import Metric
from dcgan_analysis.core.statistics import (
    auc_interval,
    judged_interval,
    judged_share,
    mcnemar,
    mean_interval,
    spread_interval,
    wilson_interval,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np


def accuracy_metric(
    right: int, n: int, description: str, *, published: float | None = None, source: str | None = None
) -> Metric:
    """Return the accuracy on one test set, with its 95 % Wilson interval.

    Args:
        right: Number of correctly classified images.
        n: Number of test images.
        description: One line for the report.
        published: The paper's accuracy, as a fraction, if it is for the same data.
        source: Where it is published.

    Example:
        >>> accuracy_metric(8, 10, "toy").value
        0.8
    """
    low, high = wilson_interval(right, n)
    return Metric(
        value=right / n,
        low=low,
        high=high,
        interval="95 % Wilson",
        n=n,
        published=published,
        source=source,
        description=description,
    )


def error_metric(
    wrong: int, n: int, description: str, *, published: float | None = None, source: str | None = None
) -> Metric:
    """Return the error on one set of images, with its 95 % Wilson interval; arguments as for ``accuracy_metric``.

    Example:
        >>> error_metric(2, 10, "toy").value
        0.2
    """
    metric = accuracy_metric(wrong, n, description, published=published, source=source)
    return metric.model_copy(update={"higher_is_better": False})


def draws_metric(
    values: Sequence[float],
    description: str,
    *,
    over: str = "draws",
    higher_is_better: bool = True,
    published: float | None = None,
    source: str | None = None,
) -> Metric:
    """Return the mean over random draws, with 1.96 standard deviations to either side, as the authors' code does.

    The interval is clipped to [0, 1], the range of a fraction.

    Args:
        values: One value (a fraction) for each draw.
        description: One line for the report.
        over: What is drawn, in the plural.
        higher_is_better: False for errors.
        published: The paper's value, if it is for the same data.
        source: Where it is published.

    Example:
        >>> draws_metric([0.7, 0.8], "toy", over="networks").interval
        '1.96 std over networks'
    """
    mean, low, high = spread_interval(values)
    return Metric(
        value=mean,
        low=max(0.0, low),
        high=min(1.0, high),
        interval=f"1.96 std over {over}",
        n=len(values),
        higher_is_better=higher_is_better,
        published=published,
        source=source,
        description=description,
    )


def paired_metric(a: np.ndarray, b: np.ndarray, description: str) -> Metric:
    """Return the accuracy of classifier A minus that of B on the same images, with its paired 95 % interval.

    Args:
        a: (N,) whether A is correct on each image.
        b: (N,) whether B is correct on each image.
        description: One line for the report; the p-value of McNemar's exact test is added to it.

    Example:
        >>> import numpy as np
        >>> a, b = np.array([True, True, True, False]), np.array([True, False, False, True])
        >>> metric = paired_metric(a, b, "A minus B")
        >>> metric.value, metric.description
        (0.25, "A minus B; McNemar's exact test: p = 1")
    """
    test = mcnemar(int((a & ~b).sum()), int((b & ~a).sum()), len(a))
    return Metric(
        value=test.value,
        low=test.low,
        high=test.high,
        interval="95 %, paired",
        n=len(a),
        description=f"{description}; McNemar's exact test: p = {test.p:.2g}",
    )


def share_metric(hits: Collection[bool] | np.ndarray, description: str, *, higher_is_better: bool | None) -> Metric:
    """Return the fraction of cases in which something holds, with its 95 % Wilson interval.

    Args:
        hits: Whether it holds, for each case; at least one. Where several judges say so (J, N), and the interval is
            over judges and cases: ``core.statistics.judged_share``.
        description: One line for the report.
        higher_is_better: Which direction is better; None: neither, as for a control.

    Example:
        >>> share_metric([True, False, False, False], "toy", higher_is_better=None).value
        0.25
    """
    if getattr(hits, "ndim", 1) == 2:
        value, low, high = judged_share(cast("np.ndarray", hits))
        ends = {"low": low, "high": high, "interval": "95 % over judges and cases"}
        n = cast("np.ndarray", hits).shape[1]
        return Metric(value=value, n=n, higher_is_better=higher_is_better, description=description, **ends)  # type: ignore[arg-type]
    metric = accuracy_metric(sum(map(bool, hits)), len(hits), description)
    return metric.model_copy(update={"higher_is_better": higher_is_better})


def auc_metric(
    lower: Sequence[float] | np.ndarray,
    higher: Sequence[float] | np.ndarray,
    description: str,
    *,
    higher_is_better: bool | None,
) -> Metric:
    """Return the chance that a value of one sample lies below one of another, with its 95 % interval.

    Args:
        lower: n values.
        higher: m values.
        description: One line for the report.
        higher_is_better: Which direction is better; None: neither, as for a control.

    Example:
        >>> auc_metric([1, 2], [2, 3], "toy", higher_is_better=None).value
        0.875
    """
    value, low, high = auc_interval(lower, higher)
    return Metric(
        value=value,
        low=low,
        high=high,
        interval="95 % Wilson, all in one order" if value in (0, 1) else "95 % DeLong",
        n=min(len(lower), len(higher)),
        higher_is_better=higher_is_better,
        description=description,
    )


def mean_metric(
    values: Sequence[float] | np.ndarray,
    description: str,
    *,
    over: str,
    higher_is_better: bool | None,
    unit: Literal["fraction", "number", "seconds"] = "number",
    bounds: tuple[float, float] | None = None,
    cases: int | None = None,
) -> Metric:
    """Return the mean of independent measurements, with its 95 % interval by Student's t.

    Where ``draws_metric`` says how far single draws lie apart, this says how well their mean is known.

    Args:
        values: One value for each measurement, at least one; with a single one the interval has no width. Where several
            judges measured, (J, N), and the interval is over judges too: ``core.statistics.judged_interval``.
        description: One line for the report.
        over: What was measured, in the plural.
        higher_is_better: Which direction is better; None: neither.
        unit: What kind of number it is.
        bounds: Least and largest value there can be: the ends are cut to them.
        cases: Where values are shares, how many cases each is of. That all of a few are alike does not say that others
            would be: the interval is then Wilson's for one of them.

    Example:
        >>> mean_metric([1.0, 3.0], "toy", over="walks", higher_is_better=None).value
        2.0
    """
    judged = getattr(values, "ndim", 1) == 2
    mean, low, high = (judged_interval if judged else mean_interval)(cast("Any", values))
    if bounds is not None:
        low, high = max(bounds[0], low), min(bounds[1], high)
    n = cast("np.ndarray", values).shape[1] if judged else len(values)
    interval = f"95 % over judges and {over}" if judged else f"95 % Student's t over {over}"
    if cases is not None and low == high:
        low, high = wilson_interval(round(cases * mean), cases)
        low, high, n, interval = min(low, mean), max(high, mean), cases, f"95 % Wilson, all {over} alike"
    return Metric(
        value=mean,
        low=low,
        high=high,
        interval=interval,
        n=n,
        higher_is_better=higher_is_better,
        unit=unit,
        description=description,
    )

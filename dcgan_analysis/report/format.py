"""Metrics, cells and settings as text, on top of ``dcgan_analysis.core.text``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

from dcgan_analysis.core.text import duration, number, percent

if TYPE_CHECKING:
    from dcgan_analysis.api.result import Metric, Table

ABSENT = "\N{EN DASH}"

# An interval narrower than half a percentage point (full width) supports a second decimal.
_NARROW = 0.005


_SPELLED = {
    "auc": "AUC",
    "cas": "CAS",
    "frechet": "Fréchet",
    "iou": "IoU",
    "l1": "L1",
    "l2": "L2",
    "pca": "PCA",
    "sefa": "SeFa",
    "svm": "SVM",
    "vendi": "Vendi",
}


def words(name: str) -> str:
    """Turn an identifier into words, as they stand within a sentence.

    Example:
        >>> words("generator_iou"), words("few_label_accuracy")
        ('generator IoU', 'few label accuracy')
    """
    return " ".join(_SPELLED.get(word, word) for word in name.replace("-", " ").replace("_", " ").split())


def label(name: str) -> str:
    """Turn an identifier into a heading.

    Example:
        >>> label("few_label_accuracy"), label("svm-cifar"), label("C")
        ('Few label accuracy', 'SVM cifar', 'C')
    """
    text = words(name)
    return text[:1].upper() + text[1:]


def cell(value: str | float | bool | None) -> str:
    """Show a value that is no fraction; a dash stands for None.

    Example:
        >>> cell(True), cell(0.0001), cell(28672), cell("all")
        ('yes', '0.0001', '28,672', 'all')
    """
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else number(value)


def table_cells(table: Table) -> list[list[str]]:
    """Show all cells of a table, row by row; one number of decimals for each column of fractions.

    A column has two decimals where that shows each of its fractions exactly and one would not
    (published errors, shares of 10,000 images), otherwise one.

    Example:
        >>> from dcgan_analysis.api.result import Table
        >>> rows = [["DCGAN", 0.2248], ["KNN", 0.779]]
        >>> columns = ["by", "error"]
        >>> table_cells(Table(name="a", title="A", columns=columns, rows=rows, percent=["error"]))
        [['DCGAN', '22.48 %'], ['KNN', '77.90 %']]
    """
    columns = []
    for position, name in enumerate(table.columns):
        values = [row[position] for row in table.rows]
        if name in table.percent:
            digits = _column_digits([value for value in values if _is_number(value)])
            columns.append([percent(v, digits) if _is_number(v) else cell(v) for v in values])
        else:
            columns.append([cell(value) for value in values])
    return [list(row) for row in zip(*columns, strict=True)]


def is_number_column(table: Table, position: int) -> bool:
    """Say whether a column holds numbers only (and gaps), and so is aligned to the right."""
    values = [row[position] for row in table.rows if row[position] is not None]
    return bool(values) and all(_is_number(value) for value in values)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _column_digits(fractions: list[float]) -> int:
    def exact(digits: int) -> bool:
        return all(abs(round(100 * value, digits) - 100 * value) < 1e-9 for value in fractions)

    return 2 if exact(2) and not exact(1) else 1


def setting(value: Any) -> str:
    """Show a value of a configuration: strings as they are, everything else as compact JSON.

    Example:
        >>> setting("float32"), setting([0.0001, 0.01]), setting(None), setting({"a": True})
        ('float32', '[0.0001, 0.01]', 'none', '{"a": true}')
    """
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _digits(metric: Metric) -> int:
    if metric.low is not None and metric.high is not None and metric.high - metric.low < _NARROW:
        return 2
    # As many as the figure it is compared with.
    return 1 if metric.published is None else _column_digits([metric.published])


def _in_unit(value: float, metric: Metric) -> str:
    if metric.unit == "fraction":
        return percent(value, _digits(metric))
    return duration(value) if metric.unit == "seconds" else number(value)


def metric_value(metric: Metric) -> str:
    """Show a metric's value in its unit.

    A fraction has one decimal, and a second where the interval is narrow or the published figure
    has one.
    """
    return _in_unit(metric.value, metric)


def metric_interval(metric: Metric) -> str:
    """Show a metric's interval, ``[72.7, 74.5]``, fractions in percent; empty if it has none."""
    if metric.low is None or metric.high is None:
        return ""
    ends = [_in_unit(end, metric).removesuffix(" %") for end in (metric.low, metric.high)]
    return f"[{', '.join(ends)}]"


def metric_text(metric: Metric) -> str:
    """Show value and interval in one line.

    Example:
        >>> from dcgan_analysis.api.result import Metric
        >>> metric_text(Metric(value=0.736, low=0.7273, high=0.7446))
        '73.6 % [72.7, 74.5]'
    """
    return f"{metric_value(metric)} {metric_interval(metric)}".rstrip()


def metric_published(metric: Metric) -> str:
    """Show the published figure as it was published; empty if there is none."""
    if metric.published is None:
        return ""
    return percent(metric.published) if metric.unit == "fraction" else _in_unit(metric.published, metric)


def difference(metric: Metric, other: float) -> str:
    """Say how far ``metric`` lies from ``other``, in percentage points for fractions.

    Example:
        >>> from dcgan_analysis.api.result import Metric
        >>> difference(Metric(value=0.736), 0.828), difference(Metric(value=0.736), 0.7359)
        ('9.2 points below', 'equal')
    """
    gap = metric.value - other
    if metric.unit == "fraction":
        size, unit = f"{100 * abs(gap):.{_digits(metric)}f}", " points"
    elif metric.unit == "seconds":
        size, unit = duration(abs(gap)), ""
    else:
        size, unit = number(abs(gap)), ""
    if not any(digit in size for digit in "123456789"):
        return "equal"
    return f"{size}{unit} {'above' if gap > 0 else 'below'}"

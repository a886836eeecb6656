"""Tables 1 to 3 of arXiv 1511.06434 as data: what analyses and ``dcgan-analyze table`` put their own numbers beside."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan_analysis.api.result import Metric


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        method: As the paper calls it.
        values: Fractions, one for each column; None where the paper gives none.
        spread: Half widths published with them, column by column; empty: none. What they are the paper does not say.
        remark: What must be known beside them.

    Example:
        >>> TABLE_1[0].method, TABLE_1[0].values
        ('1 layer K-means', (0.806, 0.637))
    """

    method: str
    values: tuple[float | None, ...]
    spread: tuple[float | None, ...] = ()
    remark: str = ""

    def metric(self, column: int) -> Metric | None:
        """Return the number of a column, from 0, with the interval published with it; None where there is none.

        Example:
            >>> metric = PublishedRow("a method", (0.5, None), (0.125, None)).metric(0)
            >>> metric.value, metric.low, metric.high
            (0.5, 0.375, 0.625)
        """
        value = self.values[column]
        if value is None:
            return None
        half = self.spread[column] if self.spread else None
        if half is None:
            return Metric(value=value)
        return Metric(value=value, low=value - half, high=value + half, interval="as published")


TABLE_1 = (
    PublishedRow("1 layer K-means", (0.806, 0.637), (None, 0.007), "4,800 centroids"),
    PublishedRow("3 layer K-means learned RF", (0.820, 0.707), (None, 0.007)),
    PublishedRow("View-invariant K-means", (0.819, 0.726), (None, 0.007)),
    PublishedRow("Exemplar CNN", (0.843, 0.774), (None, 0.002)),
    PublishedRow("DCGAN + L2-SVM", (0.828, 0.738), (None, 0.004), "trained on ImageNet-1k"),
)
"""CIFAR-10: accuracy with all labels, accuracy with 400 labels per class. The paper's own row is the last."""

TABLE_2 = (
    PublishedRow("KNN", (0.7793, None)),
    PublishedRow("TSVM", (0.6655, None)),
    PublishedRow("M1 + KNN", (0.6563, None)),
    PublishedRow("M1 + TSVM", (0.5433, None)),
    PublishedRow("M1 + M2", (0.3602, None)),
    PublishedRow("SWWAE without dropout", (0.2783, None)),
    PublishedRow("SWWAE with dropout", (0.2356, None)),
    PublishedRow("DCGAN + L2-SVM", (0.2248, None)),
    PublishedRow("DCGAN + L2-SVM", (0.2218, None), (0.0113, None), "the authors' later run"),
    PublishedRow("Supervised CNN, same architecture", (None, 0.2887)),
)
"""SVHN with 1,000 labels: test error, validation error."""

TABLE_3 = (
    PublishedRow("AlignMNIST", (None, 0.014)),
    PublishedRow("InfiMNIST", (None, 0.026)),
    PublishedRow("Real data", (0.031, None)),
    PublishedRow("GAN (permutation invariant)", (0.0628, 0.0565)),
    PublishedRow("DCGAN", (0.0298, 0.0148)),
)
"""MNIST by the nearest sample: test error with 50,000 samples, test error with 10 million."""

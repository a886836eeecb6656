"""Tables 1 to 3 of arXiv 1511.06434 as data, and which runs of this program stand beside their rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TABLES", "OwnRow", "PublishedRow", "PublishedTable"]


@dataclass(frozen=True)
class PublishedRow:
    """One row of the paper.

    Attributes:
        method: As the paper calls it.
        values: Fractions, one for each column; None where the paper gives none.
        spread: Half widths published with them, column by column; empty: none.
        remark: What must be known beside them.
    """

    method: str
    values: tuple[float | None, ...]
    spread: tuple[float | None, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class OwnRow:
    """One row that this program can fill.

    Attributes:
        method: What it is called; ``{checkpoint}`` stands for the checkpoint's name.
        analysis: Which analysis gives the numbers.
        metrics: Its metrics, one for each column; None where it gives none.
        settings: Settings of the run; what is not given has its default, the paper's protocol.
        checkpoint: Checkpoint of the run where none is given; None: the analysis takes none.
        main: Whether a checkpoint that is given replaces it.
    """

    method: str
    analysis: str
    metrics: tuple[str | None, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    main: bool = True


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper.

    Attributes:
        title: Its subject.
        dataset: The dataset it is about.
        columns: Names of the columns of numbers.
        published: The paper's rows, in its order.
        own: This program's rows.
        note: What sets the paper's numbers apart from ours.
        says: Column -> words that the description of a metric must hold to stand in it.
    """

    title: str
    dataset: str
    columns: tuple[str, ...]
    published: tuple[PublishedRow, ...]
    own: tuple[OwnRow, ...]
    note: str = ""
    says: Mapping[str, str] = field(default_factory=dict)


_CIFAR, _SVHN, _MNIST, _MLP = "cifar10-dcgan32", "svhn-dcgan32", "mnist-conditional", "mnist-conditional-mlp"
_BOTH = ("accuracy", "few_label_accuracy")

TABLES: Mapping[int, PublishedTable] = {
    1: PublishedTable(
        title="CIFAR-10 classification on features",
        dataset="cifar10",
        columns=("accuracy", "accuracy, 400 labels per class"),
        published=(
            PublishedRow("1 layer K-means", (0.806, 0.637), (None, 0.007)),
            PublishedRow("3 layer K-means learned RF", (0.820, 0.707), (None, 0.007)),
            PublishedRow("View-invariant K-means", (0.819, 0.726), (None, 0.007)),
            PublishedRow("Exemplar CNN", (0.843, 0.774), (None, 0.002)),
            PublishedRow("DCGAN + L2-SVM", (0.828, 0.738), (None, 0.004), "trained on ImageNet-1k"),
        ),
        own=(
            OwnRow("{checkpoint} + L2-SVM", "svm-cifar", _BOTH, checkpoint=_CIFAR),
            OwnRow(
                "random twin + L2-SVM",
                "svm-cifar",
                ("twin_accuracy", "twin_few_label_accuracy"),
                checkpoint=_CIFAR,
            ),
            OwnRow("1 layer K-means", "kmeans-features", _BOTH),
            OwnRow("pixels", "pixels", _BOTH),
        ),
        note="Published rows are on the whole test set of 10,000 images.",
        says={"accuracy, 400 labels per class": "400 labels per class"},
    ),
    2: PublishedTable(
        title="SVHN classification with 1,000 labels",
        dataset="svhn",
        columns=("test error", "validation error"),
        published=(
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
        ),
        own=(
            OwnRow("{checkpoint} + L2-SVM", "svm-svhn", ("test_error", "validation_error"), checkpoint=_SVHN),
            OwnRow("random twin + L2-SVM", "svm-svhn", ("twin_test_error", None), checkpoint=_SVHN),
            OwnRow("Supervised CNN, same architecture", "supervised-cnn", ("test_error", "validation_error")),
        ),
        note="Published rows are on the whole test set of 26,032 images.",
    ),
    3: PublishedTable(
        title="MNIST by the nearest class-conditional sample",
        dataset="mnist",
        columns=("test error, 50K samples", "test error, 10M samples"),
        published=(
            PublishedRow("AlignMNIST", (None, 0.014)),
            PublishedRow("InfiMNIST", (None, 0.026)),
            PublishedRow("Real data", (0.031, None)),
            PublishedRow("GAN (permutation invariant)", (0.0628, 0.0565)),
            PublishedRow("DCGAN", (0.0298, 0.0148)),
        ),
        own=tuple(
            OwnRow(method, "mnist-nn", ("error_50000", "error_10000000"), {"source": source}, checkpoint, main=main)
            for method, source, checkpoint, main in (
                ("training images, deformed", "elastic", None, False),
                ("training images", "real", None, False),
                ("{checkpoint} (permutation invariant)", "mlp", _MLP, False),
                ("{checkpoint}", "dcgan", _MNIST, True),
            )
        ),
        note="10M samples are searched with --set mnist-nn.samples=10000000.",
    ),
}

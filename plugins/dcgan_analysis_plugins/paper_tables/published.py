"""Tables 1 to 3 of arXiv 1511.06434, and which runs of this program stand beside their rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dcgan_analysis.probing.published import TABLE_1, TABLE_2, TABLE_3, PublishedRow

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        published=TABLE_1,
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
        note="Published rows are on the whole test set of 10,000 images. K-means here has 1,600 centroids unless "
        "kmeans-features.centroids says otherwise. The paper does not say what its half widths are.",
        says={"accuracy, 400 labels per class": " 400 labels per class"},
    ),
    2: PublishedTable(
        title="SVHN classification with 1,000 labels",
        dataset="svhn",
        columns=("test error", "validation error"),
        published=TABLE_2,
        own=(
            OwnRow("{checkpoint} + L2-SVM", "svm-svhn", ("test_error", "validation_error"), checkpoint=_SVHN),
            OwnRow("random twin + L2-SVM", "svm-svhn", ("twin_test_error", None), checkpoint=_SVHN),
            OwnRow("Supervised CNN, same architecture", "supervised-cnn", ("test_error", "validation_error")),
        ),
        note="Published rows are on the whole test set of 26,032 images.",
        says={"test error": " 100 labels per class", "validation error": " 100 labels per class"},
    ),
    3: PublishedTable(
        title="MNIST by the nearest class-conditional sample",
        dataset="mnist",
        columns=("test error, 50K samples", "test error, 10M samples"),
        published=TABLE_3,
        own=tuple(
            OwnRow(method, "mnist-nn", ("error_50000", "error_10000000"), {"source": source}, checkpoint, main=main)
            for method, source, checkpoint, main in (
                ("training images, deformed", "elastic", None, False),
                ("training images", "real", None, False),
                ("{checkpoint} (permutation invariant)", "mlp", _MLP, False),
                ("{checkpoint}", "dcgan", _MNIST, True),
            )
        ),
        note="10M samples are searched by the setting mnist-nn.samples=10000000.",
    ),
}

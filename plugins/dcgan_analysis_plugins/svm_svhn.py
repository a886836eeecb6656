"""svm-svhn: how well do 1,000 labels suffice on features learned without labels? (section 5.2).

1. Features as in svm-cifar, extracted once for each network: 7,168 for the authors' SVHN discriminator.
2. 10,000 training images are held out, photo by photo where photos are known. For each C of the grid an L2-SVM is
   fitted on 10 random draws of 100 labels per class from the rest; the C with the least mean held-out error is taken.
3. With it, 100 more draws are fitted and tested: mean and 1.96 standard deviations of the test error.
4. The random-weight twin the same way, on the same draws, with its own statistics and its own C.

Consumes a checkpoint with a discriminator and a labelled dataset with a training and a test split.
Produces ``test_error``, ``validation_error``, ``twin_test_error``, the curve over labels per class where asked for
(``--set labels_curve=[10,20,50,100]``), and draws.npz with the predictions of every tested draw.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 5.2 and Table 2; numbers of draws and the
grid from the authors' code. Beyond the paper: the twin, the curve, photos kept whole.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis import hookimpl
from dcgan_analysis.api import Demo, Metric, Needs, Table, draws_metric
from dcgan_analysis.probing import (
    LEARNED,
    TABLE_2,
    LabelSettings,
    draws_classes_table,
    grid_table,
    label_curve_table,
    label_metrics,
    labelled_images,
    learned_and_twin,
    make_draws,
    probe_by_labels,
    save_draws,
    save_draws_figures,
    save_grid_figure,
    save_label_curve,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dcgan_analysis.api import Analysis, Cell, Result, RunContext
    from dcgan_analysis.linear import FewLabelProbe
    from dcgan_analysis.probing import Draws, LabelledImages

_SVHN = "svhn"
_PUBLISHED_ERROR, _PUBLISHED_LABELS = 0.2248, 100
_PAPER = "Radford et al. 2016, Table 2; the authors' later run gave 22.18 +-1.13 %"


class SvmSvhnConfig(LabelSettings):
    """Settings; the defaults are the protocol of the authors' code."""

    validation: PositiveInt = Field(
        default=10_000, description="training images held out to choose C; at most half of them are"
    )
    labels_per_class: PositiveInt | None = Field(
        default=None, description="labels per class of each draw; none given: 100, or fewer if the dataset is small"
    )
    choosing_draws: PositiveInt = Field(default=10, description="random draws that choose C")
    draws: PositiveInt = Field(default=100, description="random draws that are tested with it")
    labels_curve: tuple[PositiveInt, ...] = Field(
        default=(), description="further numbers of labels per class, each by the whole protocol: [10, 20, 50]"
    )


class SvmSvhn:
    """Linear classification with few labels on discriminator features, beside the random twin."""

    name = "svm-svhn"
    summary = "L2-SVM with few labels per class, beside the random-weight twin (5.2, Table 2)"
    question = "How well are images classified from few labels, on features that were learned without any?"
    reference = "Radford, Metz, Chintala 2016, section 5.2: https://arxiv.org/abs/1511.06434"
    config_type = SvmSvhnConfig
    needs = Needs(dataset=_SVHN, splits=("train", "test"), labels=True, grid=4)
    demo = Demo(
        checkpoint="cifar10-dcgan32-w64",
        dataset="digits",
        settings={"C": (1e-4, 1e-3, 1e-2), "labels_per_class": 10, "choosing_draws": 3, "draws": 10},
        limit=400,
    )

    def requires(self, config: SvmSvhnConfig) -> Needs:
        """Return what it consumes on this grid."""
        return replace(self.needs, grid=config.grid, fit=config.fit)

    def checks(self, context: RunContext, config: SvmSvhnConfig) -> list[Callable[[], object]]:
        """Draw the subsets that may not be there."""
        return [partial(_images_and_draws, context, config)]

    def run(self, context: RunContext, config: SvmSvhnConfig) -> Result:
        """Probe the checkpoint, then its twin, on the same draws."""
        with context.stage("images and draws"):
            images, (first, *more) = _images_and_draws(context, config)
        networks = learned_and_twin(context, twin=config.twin, twins=config.twins)
        curves = probe_by_labels(context, config, networks, images, (first, *more))
        per_class = first.per_class
        probes = {name: by_labels[per_class] for name, by_labels in curves.items()}
        classes = draws_classes_table(images, probes)
        with context.stage("figures"):
            save_draws(context, images, probes, first)
            save_grid_figure(context, probes, "error", caption="Mean over the choosing draws; the marked C is tested.")
            save_draws_figures(context, images, classes, probes[LEARNED])
            if more:
                save_label_curve(context, curves, "error")
        _note_held_out(context, config, images)
        metrics = _metrics(context, images, per_class, probes)
        tables = [*([label_curve_table(curves, "error")] if more else []), classes, grid_table(probes, "error")]
        if _is_published(context, per_class):
            tables.insert(0, _table_2(context, images, metrics))
        return context.result(
            title=f"{context.checkpoint.name} features + L2-SVM on {context.dataset.name} with few labels",
            headline="test_error",
            metrics=metrics,
            tables=tables,
        )


def _images_and_draws(context: RunContext, config: SvmSvhnConfig) -> tuple[LabelledImages, list[Draws]]:
    """Return the images, and the draws of the protocol, then those of the other points of the curve."""
    images = labelled_images(context, validation=config.validation)

    def draw(labels: int | None) -> Draws:
        return make_draws(
            images, labels, context, choosing=config.choosing_draws, tested=config.draws, usual=_PUBLISHED_LABELS
        )

    first = draw(config.labels_per_class)
    if not first.per_class:  # too few images for any of the usual numbers
        first = draw(1)
    return images, [first, *(draw(labels) for labels in sorted(set(config.labels_curve) - {first.per_class}))]


def _is_published(context: RunContext, per_class: int) -> bool:
    """Return whether this run is comparable with the paper's."""
    return context.dataset.name == _SVHN and context.limit is None and per_class == _PUBLISHED_LABELS


def _metrics(
    context: RunContext, images: LabelledImages, per_class: int, probes: Mapping[str, FewLabelProbe]
) -> dict[str, Metric]:
    metrics = label_metrics("error", probes, "test_error", per_class, images)
    if _is_published(context, per_class):
        published = {"published": _PUBLISHED_ERROR, "source": _PAPER}
        metrics["test_error"] = metrics["test_error"].model_copy(update=published)
    learned = probes[LEARNED]
    metrics["validation_error"] = draws_metric(
        (1 - learned.held_out[:, learned.cs.tolist().index(learned.c)]).tolist(),
        f"{LEARNED}, {per_class} labels per class, draws that chose C, {int(images.held_out.sum()):,} held-out images",
        higher_is_better=False,
    )
    return metrics


def _note_held_out(context: RunContext, config: SvmSvhnConfig, images: LabelledImages) -> None:
    count = int(images.held_out.sum())
    by_photo = ", photo by photo," if images.train.groups is not None else ""
    setting = "" if count == config.validation else f" ({config.validation:,} were asked for)"
    context.note(f"C was chosen on {count:,} training images{setting}, held out{by_photo} from every draw.")


def _table_2(context: RunContext, images: LabelledImages, metrics: Mapping[str, Metric]) -> Table:
    columns = ["method", "test error", "low", "high"]
    rows: list[list[Cell]] = []
    for row in TABLE_2:
        metric = row.metric(0)
        if metric is not None:
            remark = f", {row.remark}" if row.remark else ""
            rows.append([f"{row.method} (paper{remark})", metric.value, metric.low, metric.high])
    runs = {"test_error": f"{context.checkpoint.name} + L2-SVM (this run)", "twin_test_error": "random twin (this run)"}
    for key, name in runs.items():
        if key in metrics:
            rows.append([name, metrics[key].value, metrics[key].low, metrics[key].high])
    return Table(
        name="table-2",
        title="Beside the paper's Table 2",
        columns=columns,
        rows=rows,
        percent=columns[1:],
        note="1,000 labels. Low and high of this run: 1.96 standard deviations over draws; of the paper's rows as "
        f"published. Test images here: {len(images.test):,}. Of a "
        "supervised CNN of the same architecture the paper gives the validation error, 28.87 % (supervised-cnn).",
    )


@hookimpl
def dcgan_register_analyses(register: Callable[[Analysis], None]) -> None:
    """Register the analysis."""
    register(SvmSvhn())

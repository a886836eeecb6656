"""mnist-nn: are class-conditional samples good enough to classify real images by? (section 8.1, Table 3).

1. Samples of known class, the classes taking turns: of a conditional generator; or, as controls, the training images
   themselves, or training images shifted and elastically deformed. Sample k of a seed is always the same.
2. Each test image gets the class of its nearest sample: Euclidean distance of pixels, all in gray levels 0..255; of
   equals the first. Exact, and in one pass for 1K, 10K, 50K, 100K, 1M, 10M samples. Samples are made, compared and
   dropped; the search is saved every two minutes, goes on after a kill, and is shared out by torchrun.
3. The reverse: a small convolutional network is trained on samples and tested on the same test images (classification
   accuracy score), beside one trained on as many real images.
4. Coverage: how many real images have a sample in their neighbourhood, class by class, beside other real images.

Consumes a labelled dataset with training and test images, and for ``source=dcgan`` or ``mlp`` a checkpoint with a
conditional generator. Produces ``test_error``, ``error_<count>`` for each count, ``real_error`` (the
control: as many real training images in place of samples), ``cas_accuracy``, ``real_cas_accuracy``, ``coverage``,
``real_coverage``, and neighbours.npz.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 8.1 and Table 3. Beyond the paper: points 3
(Ravuri and Vinyals 2019, arXiv 1905.10887) and 4 (Naeem et al. 2020, arXiv 2002.09797). The paper does not say how its
samples were made into pixels; here they are rounded to bytes, as when they are saved as pictures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, Table
from dcgan_analysis.core import count as grouped
from dcgan_analysis.probing import TABLE_3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis.data import DatasetSplit
    from dcgan_analysis_plugins.mnist_nn.source import SampleSource

_COUNTS = (1_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000)
_CHECKPOINTS = {"dcgan": "mnist-conditional", "mlp": "mnist-conditional-mlp"}
_PAPER = "Radford et al. 2016, Table 3"
# Table 3 row by row: method, samples, test error.
_TABLE_3 = [
    (row.method, samples, error)
    for row in TABLE_3
    for samples, error in zip((50_000, 10_000_000), row.values, strict=True)
    if error is not None
]
# What of Table 3 a run may stand beside: by architecture for generators, by source for the rest.
_ROWS = {"dcgan28-conditional": "DCGAN", "mlp-conditional": "GAN (permutation invariant)", "real": "Real data"}
_NAMES = {"real": "training images", "elastic": "deformed training images"}


class MnistNNConfig(AnalysisConfig):
    """Settings."""

    samples: PositiveInt = Field(default=50_000, description="samples in all; the error is measured on the way as well")
    source: Literal["dcgan", "mlp", "real", "elastic"] = Field(
        default="dcgan",
        description="generator (dcgan, mlp: they differ in the checkpoint used where none is given), training images "
        "(real), or training images shifted and deformed (elastic)",
    )
    validation: NonNegativeInt = Field(
        default=10_000,
        description="last training images to leave out, at most a sixth; the paper's networks did not see them",
    )
    fit: Literal["exact", "resize"] = Field(
        default="exact", description="test images of another shape than the generator makes: refuse, or resize them"
    )
    shift: NonNegativeInt = Field(default=1, description="elastic: largest shift, pixels")
    alpha: NonNegativeFloat = Field(default=8.0, description="elastic: strength of the deformation, pixels")
    sigma: PositiveFloat = Field(default=4.0, description="elastic: smoothness of the deformation, pixels")
    cas_samples: NonNegativeInt = Field(
        default=20_000, description="samples that the reverse direction trains on, at most all; 0: leave it out"
    )
    coverage_images: NonNegativeInt = Field(
        default=10_000,
        description="real images whose neighbourhoods are looked at, and as many samples; 0: leave it out",
    )


def counts_up_to(samples: int) -> tuple[int, ...]:
    """Return the numbers of samples at which the error is measured.

    Example:
        >>> counts_up_to(50_000), counts_up_to(2_500)
        ((1000, 10000, 50000), (1000, 2500))
    """
    return (*(count for count in _COUNTS if count < samples), samples)


class MnistNN:
    """Nearest-neighbour classification of real images by samples."""

    name = "mnist-nn"
    summary = "Test images classified by their nearest conditional sample, up to ten million (8.1, Table 3)"
    question = "Are class-conditional samples true enough to their classes to classify real images by?"
    reference = "Radford, Metz, Chintala 2016, section 8.1: https://arxiv.org/abs/1511.06434"
    config_type = MnistNNConfig
    needs = Needs(
        checkpoint=_CHECKPOINTS["dcgan"], dataset="mnist", splits=("train", "test"), labels=True, generator=True
    )
    demo = Demo(
        checkpoint="digits-conditional", dataset="digits", settings={"samples": 3000, "cas_samples": 2000}, limit=200
    )

    def requires(self, config: MnistNNConfig) -> Needs:
        """Return what the chosen source needs: images alone, or a generator as well."""
        checkpoint = _CHECKPOINTS.get(config.source)
        if checkpoint is None:
            return replace(self.needs, checkpoint=None, generator=False)
        return replace(self.needs, checkpoint=checkpoint, conditional=True, fit=config.fit)

    def checks(self, context: RunContext, config: MnistNNConfig) -> list[Callable[[], object]]:
        """Look for an image of each class, for the generator's classes, and at a few of its samples."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.mnist_nn.images import by_class, check_classes

        images: list[Callable[[], object]] = [lambda: by_class(context.split("train"))]
        if config.source not in _CHECKPOINTS:
            return images
        return [
            *images,
            lambda: check_classes(context.checkpoint, context.dataset),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device)),
        ]

    def run(self, context: RunContext, config: MnistNNConfig) -> Result:
        """Search the nearest samples, then ask the samples themselves."""
        from dcgan_analysis_plugins.mnist_nn.images import ImageSamples
        from dcgan_analysis_plugins.mnist_nn.nearest_samples import (
            NearestStudy,
            curve_table,
            nearest_classes_table,
            save_nearest_arrays,
            save_nearest_figures,
        )
        from dcgan_analysis_plugins.mnist_nn.quality import cas_metrics, class_coverage, coverage_metrics
        from dcgan_analysis_plugins.mnist_nn.search import nearest_samples
        from dcgan_analysis_plugins.mnist_nn.source import Remembered

        with context.stage("images and samples"):
            train, test = _images(context, config)
            real = ImageSamples(train, context.seed)
            samples, row = _source(context, config, train, real)
            total = _total(context, config, samples)
            source = Remembered(samples, min(total, max(config.cas_samples, config.coverage_images)))
        with context.stage("nearest samples") as stage:
            search = nearest_samples(
                test.images,
                source,
                counts_up_to(total),
                device=context.device,
                folder=context.cache_dir,
                progress=context.progress,
            )
            if search.resumed:
                stage.note = f"went on after {grouped(search.resumed)} samples"
                context.note(f"The first {grouped(search.resumed)} samples had been compared by an earlier run.")
        study = NearestStudy(source, test, search)
        published = _published(context, row)
        errors = study.metrics(published, _PAPER)
        by_count = {f"error_{n}": error for n, error in zip(search.counts, errors, strict=True)}
        metrics = {"test_error": errors[-1]} | by_count
        if samples is not real:
            with context.stage("nearest real images"):
                control = nearest_samples(
                    test.images,
                    real,
                    [min(total, len(train))],
                    device=context.device,
                    folder=context.cache_dir,
                    progress=context.progress,
                )
            metrics["real_error"] = NearestStudy(real, test, control).real_metric()
        with context.stage("classifiers trained on samples and on real images"):
            metrics |= cas_metrics(context, source, real, test, min(config.cas_samples, total))
        with context.stage("coverage"):
            covered = class_coverage(source, real, len(test.classes), min(config.coverage_images, total))
            if covered is not None:
                metrics |= coverage_metrics(covered)
            elif config.coverage_images:
                context.note("Coverage was left out: each class needs at least 12 training images and 6 samples.")
        with context.stage("figures"):
            save_nearest_arrays(context, study)
            save_nearest_figures(context, study, errors, {f"{row} (paper)": published} if published else {})
        source_name = context.checkpoint.name if config.source in _CHECKPOINTS else _NAMES[config.source]
        tables = [curve_table(study, errors), nearest_classes_table(study, covered)]
        if _may_be_compared(context):
            tables.insert(0, _table_3(source_name, search.counts, errors))
        return context.result(
            title=f"{context.dataset.name} classified by the nearest of {grouped(total)} samples: {source_name}",
            headline="test_error",
            metrics=metrics,
            tables=tables,
        )


def _images(context: RunContext, config: MnistNNConfig) -> tuple[DatasetSplit, DatasetSplit]:
    """Return training images without those left out, and test images, in the shape of the generator."""
    from dcgan_analysis_plugins.mnist_nn.images import check_classes, like_samples

    train, test = context.split("train"), context.split("test")
    remaining = len(train) - min(config.validation, len(train) // 6)
    train = train.take(range(remaining), source=f"{train.source}, first {remaining} of {len(train)}")
    if config.source in _CHECKPOINTS:
        check_classes(context.checkpoint, context.dataset)
        train, test = (
            like_samples(split, context.checkpoint, dataset=context.dataset.name, fit=config.fit)
            for split in (train, test)
        )
    context.use_split("train", train)
    context.use_split("test", test)
    return train, test


def _source(
    context: RunContext, config: MnistNNConfig, train: DatasetSplit, real: SampleSource
) -> tuple[SampleSource, str | None]:
    """Return the source of samples and the row of Table 3 it may stand beside."""
    from dcgan_analysis.checkpoints import Sampler
    from dcgan_analysis.latents import check_samples_vary
    from dcgan_analysis_plugins.mnist_nn.elastic import ElasticSamples
    from dcgan_analysis_plugins.mnist_nn.generated import GeneratedSamples

    if config.source == "real":
        return real, _ROWS["real"]
    if config.source == "elastic":
        deformed = ElasticSamples(train, context.seed, shift=config.shift, alpha=config.alpha, sigma=config.sigma)
        return deformed, None
    check_samples_vary(context, Sampler(context.checkpoint, context.device), train.images)
    generated = GeneratedSamples(context.checkpoint, context.seed, context.device)
    return generated, _ROWS.get(context.checkpoint.architecture.name)


def _total(context: RunContext, config: MnistNNConfig, source: SampleSource) -> int:
    if source.size is None or config.samples <= source.size:
        return config.samples
    if config.samples != MnistNNConfig().samples:
        context.warn(f"{grouped(config.samples)} samples were asked for; there are {grouped(source.size)} images.")
    return source.size


def _may_be_compared(context: RunContext) -> bool:
    return context.dataset.name == "mnist" and context.limit is None


def _published(context: RunContext, row: str | None) -> dict[int, float]:
    """Return the published errors that stand for the same thing, by number of samples."""
    return {n: error for method, n, error in _TABLE_3 if method == row and _may_be_compared(context)}


def _table_3(source_name: str, counts: Sequence[int], errors: Sequence[Metric]) -> Table:
    rows: list[list[Cell]] = [[f"{name} (paper)", n, error, None, None] for name, n, error in _TABLE_3]
    rows += [
        [f"this run: {source_name}", n, error.value, error.low, error.high]
        for n, error in zip(counts, errors, strict=True)
    ]
    return Table(
        name="table-3",
        title="Table 3",
        columns=["samples of", "samples", "test error", "low", "high"],
        rows=rows,
        percent=["test error", "low", "high"],
        note="Low and high: 95 % Wilson interval.",
    )

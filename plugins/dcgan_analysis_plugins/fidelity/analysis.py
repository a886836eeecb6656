"""fidelity: how near do samples come to real images, and how many kinds of these do they reach?

1. A judge maps images to features: a classifier trained by the framework on half of the real images, which take no
   further part; or a discriminator, random weights, or FID's Inception where the user has its weights.
2. Samples are compared with as many real images: Fréchet distance, kernel distance, precision and recall, density and
   coverage, Vendi score; several draws of both.
3. Floor: other real images in place of samples. Ceiling: samples of the random twin.
4. The Fréchet distance falls with the number of samples; to compare two at different numbers is the commonest mistake.
   So there is a curve over that number, and its extrapolation to infinitely many, for samples and for real images,
   which should come to 0.

Consumes a checkpoint with a generator and the dataset it was trained on.
Produces the measures, the same prefixed by ``real_`` and ``twin_``, ``frechet_extrapolated``, ``judge_accuracy``, and
draws.npz. Distances of two judges do not compare, nor do those of two numbers of samples. They are called FID and KID
by nobody unless Inception judged.

Reference: Heusel et al. 2017, arXiv 1706.08500 (Fréchet); Binkowski et al. 2018, arXiv 1801.01401 (kernel);
Kynkäänniemi et al. 2019, arXiv 1904.06991 (precision, recall); Naeem et al. 2020, arXiv 2002.09797 (density, coverage);
Friedman and Dieng 2023, arXiv 2210.02410 (Vendi); Chong and Forsyth 2020, arXiv 1911.07023 (extrapolation).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field, PositiveInt, field_validator

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, Table, accuracy_metric, mean_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from torch import Tensor

    from dcgan_analysis.api import Cell, Result, RunContext
    from dcgan_analysis.data import DatasetSplit
    from dcgan_analysis_plugins.fidelity.judge import FeatureJudge
    from dcgan_analysis_plugins.fidelity.measures import Measures

__all__ = ["Fidelity", "FidelityConfig"]

JUDGES = ("auto", "classifier", "discriminator", "random", "inception")
_OTHER = "checkpoint:"

SAMPLES, REAL, TWIN = "samples", "other real images", "random twin"
_PREFIX = {SAMPLES: "", REAL: "real_", TWIN: "twin_"}
_SHOWN = 24
_EIGHTHS = (1, 2, 4, 5, 6, 7, 8)
_EXTRAPOLATED = slice(2, None)  # from half on: with few rows the bias does not fall as one over their number
_TESTED = 1000

_DESCRIPTIONS = {
    "frechet_distance": ("Fréchet distance to real images", False),
    "kernel_distance": ("kernel distance (unbiased squared MMD)", False),
    "precision": ("share of images in the neighbourhood of a real one", True),
    "recall": ("share of real images in the neighbourhood of one of these", True),
    "density": ("neighbourhoods of real images that an image lies in, over the expected number", True),
    "coverage": ("share of real images with one of these in their neighbourhood", True),
    "vendi_score": ("how many different images these amount to", True),
}
_SHARES = ("precision", "recall", "coverage")


class FidelityConfig(AnalysisConfig):
    """Settings."""

    samples: int = Field(
        default=2000, ge=16, description="samples, and real images, of a draw; fewer where there are fewer"
    )
    draws: int = Field(default=5, ge=2, description="draws of samples and of real images")
    judge: str = Field(
        default="auto",
        description="whose features are compared: classifier, trained on half of the real images; discriminator; "
        "checkpoint:NAME, the discriminator of another checkpoint; random, a network of random weights; inception, "
        "FID's, from torch's hub cache (extra fidelity); auto: classifier where there are labels, else random",
    )
    judge_epochs: PositiveInt = Field(default=5, description="passes of the classifier over its images")

    @field_validator("judge")
    @classmethod
    def _judge_is_known(cls, value: str) -> str:
        if value not in JUDGES and not (value.startswith(_OTHER) and value != _OTHER):
            msg = f"must be one of {', '.join(JUDGES)}, or {_OTHER}NAME"
            raise ValueError(msg)
        return value


class Fidelity:
    """Samples against real images, in the space of a judge's features."""

    name = "fidelity"
    summary = "Fréchet and kernel distance, precision, recall, density, coverage, Vendi score, with floor and ceiling"
    question = "How near do samples come to real images, and how many kinds of these do they reach?"
    reference = (
        "Heusel et al. 2017: https://arxiv.org/abs/1706.08500; Naeem et al. 2020: https://arxiv.org/abs/2002.09797"
    )
    config_type = FidelityConfig
    needs = Needs(
        checkpoint="cifar10-dcgan32-w64", dataset="cifar10", splits=("train",), images=32, samples=1, fit="exact"
    )
    demo = Demo(
        checkpoint="digits-dcgan32", dataset="digits", settings={"samples": 300, "draws": 3, "judge_epochs": 10}
    )

    def requires(self, config: FidelityConfig) -> Needs:
        """Return what it consumes with this judge."""
        return replace(self.needs, discriminator=config.judge == "discriminator", labels=config.judge == "classifier")

    def checks(self, context: RunContext, config: FidelityConfig) -> list[Callable[[], object]]:
        """Look for the judge, and at a few samples."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.fidelity import judge as judges

        found: list[Callable[[], object]] = [
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device))
        ]
        if config.judge == "inception":
            found.append(lambda: judges.inception(context))
        elif config.judge == "discriminator" or config.judge.startswith(_OTHER):
            found.append(lambda: judges.discriminator(context, _other(config.judge)))
        return found

    def run(self, context: RunContext, config: FidelityConfig) -> Result:
        """Choose the judge, draw, measure, and show what lies inside and outside."""
        import numpy as np

        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.fidelity.samples import draw, twin_sampler

        train = context.split("train")
        sampler = Sampler(context.checkpoint, context.device, context.progress)
        check_samples_vary(context, sampler, train.images)
        judge, compared, metrics = _choose_judge(context, config, train)
        n = min(config.samples, len(compared) // 2)
        if n < config.samples:
            context.note(
                f"{n:,} images of each kind are compared: there are {len(compared):,} real ones, halved for the floor."
            )
        with context.stage("samples"):
            images = draw(context, sampler, n * config.draws)
            others = draw(context, twin_sampler(context), n * config.draws)
        with context.stage("features"):
            used = context.rng("pool").permutation(len(compared))[: 2 * n * config.draws]
            pool = _Pool(compared[used], judge.features(compared[used]))
            features = {SAMPLES: judge.features(images), TWIN: judge.features(others)}
        if n <= (d := features[SAMPLES].shape[1]):
            context.warn(
                f"{n:,} images for {d:,} features: the covariances are not full, and the Fréchet distance is far too "
                "large. Raise 'samples', or read the kernel distance."
            )
        with context.stage(f"{config.draws} draws of {n:,} images"):
            draws = [_draw(context, pool, features, n, number) for number in range(config.draws)]
        metrics = _metrics(draws, judge, n) | metrics
        with context.stage("figures"):
            _save_curve(context, draws, n)
            _save_images(context, images[:n], pool, features[SAMPLES][:n], draws[0].reference)
        context.save_arrays(
            "draws",
            **{
                f"{_PREFIX[kind]}{name}": np.array([getattr(one.measures[kind], name) for one in draws])
                for kind in _PREFIX
                for name in _DESCRIPTIONS
            },
        )
        return context.result(
            title=f"Fidelity of samples of {context.checkpoint.name}, judged by {judge.name}",
            headline="frechet_distance",
            metrics=metrics,
            tables=[_table(metrics, n, config.draws)],
        )


class _Pool(NamedTuple):
    """Real images, and their features."""

    images: np.ndarray
    features: Tensor


class _Draw(NamedTuple):
    """One draw: which real images were the reference, and what came of it; curves hold sizes and distances."""

    reference: np.ndarray
    measures: Mapping[str, Measures]
    curve: Mapping[str, Sequence[float]]


def _other(judge: str) -> str | None:
    """Return the name of the other checkpoint that judges, None: none does."""
    return judge.removeprefix(_OTHER) if judge.startswith(_OTHER) else None


def _choose_judge(
    context: RunContext, config: FidelityConfig, train: DatasetSplit
) -> tuple[FeatureJudge, np.ndarray, dict[str, Metric]]:
    """Return the judge, the real images that it has not learned from, and how well it judges."""
    import numpy as np

    from dcgan_analysis_plugins.fidelity import judge as judges

    labelled = len(train.classes) > 1
    name = config.judge if config.judge != "auto" else ("classifier" if labelled else "random")
    metrics: dict[str, Metric] = {}
    if name == "classifier":
        order = context.rng("judge", "split").permutation(len(train))
        learned, compared = order[: len(order) // 2], order[len(order) // 2 :]
        with context.stage("judge") as stage:
            judge, predict = judges.classifier(context, train.take(learned), config.judge_epochs)
            tested = compared[:_TESTED]
            right = int((predict(train.images[tested]).numpy() == np.asarray(train.labels)[tested]).sum())
            metrics["judge_accuracy"] = accuracy_metric(
                right, len(tested), "the judge's accuracy on images it has not learned from"
            )
            stage.note = f"{right / len(tested):.1%} right"
        return judge, train.images[compared], metrics
    if name == "discriminator" or name.startswith(_OTHER):
        other = _other(name)
        if other is None:
            context.note("The judge was trained against this very generator: its features are not neutral.")
        return judges.discriminator(context, other), train.images, metrics
    made = judges.inception(context) if name == "inception" else judges.random_network(context, train.image_shape)
    return made, train.images, metrics


def _draw(context: RunContext, pool: _Pool, features: Mapping[str, Tensor], n: int, number: int) -> _Draw:
    """Measure draw ``number``: its own n samples of each kind against n real images, and other real images too."""
    import torch

    from dcgan_analysis_plugins.fidelity.measures import frechet_distance, measure

    order = context.rng("draw", str(number)).permutation(len(pool.features))
    real = pool.features[torch.from_numpy(order[:n])]
    rows = {kind: of_kind[number * n : (number + 1) * n] for kind, of_kind in features.items()}
    rows[REAL] = pool.features[torch.from_numpy(order[n : 2 * n])]
    measures = {kind: measure(real, rows[kind]) for kind in _PREFIX}
    context.progress("draws", number + 1, number + 1)
    curve = {
        kind: [frechet_distance(real[:size].double(), rows[kind][:size].double()) for size in _sizes(n)]
        for kind in (SAMPLES, REAL)
    }
    return _Draw(order[:n], measures, curve)


def _sizes(n: int) -> list[int]:
    """Numbers of images of the curve, the whole last."""
    return [max(2, n * eighths // 8) for eighths in _EIGHTHS]


def _metrics(draws: Sequence[_Draw], judge: FeatureJudge, n: int) -> dict[str, Metric]:
    from dcgan_analysis_plugins.fidelity.measures import extrapolate

    # The names that everybody knows belong to one judge alone.
    known = {"frechet_distance": " (FID)", "kernel_distance": " (KID)"} if judge.name == "Inception" else {}
    metrics = {}
    for kind, prefix in _PREFIX.items():
        for name, (description, higher) in _DESCRIPTIONS.items():
            metrics[f"{prefix}{name}"] = mean_metric(
                [getattr(one.measures[kind], name) for one in draws],
                f"{kind}: {description}{known.get(name, '')}",
                over="draws",
                higher_is_better=higher if kind == SAMPLES else None,
                unit="fraction" if name in _SHARES else "number",
                bounds=(0, 1) if name in _SHARES else None,
                cases=n if name in _SHARES else None,
            )
        if kind != TWIN:
            metrics[f"{prefix}frechet_extrapolated"] = mean_metric(
                [extrapolate(_sizes(n)[_EXTRAPOLATED], one.curve[kind][_EXTRAPOLATED]) for one in draws],
                f"{kind}: Fréchet distance extrapolated to infinitely many images; 0 for real ones",
                over="draws",
                higher_is_better=False if kind == SAMPLES else None,
            )
    return metrics


def _table(metrics: Mapping[str, Metric], n: int, draws: int) -> Table:
    rows: list[list[Cell]] = [
        [
            name.replace("_", " "),
            *(
                metrics[f"{prefix}{name}"].value if f"{prefix}{name}" in metrics else None
                for prefix in _PREFIX.values()
            ),
        ]
        for name in [*_DESCRIPTIONS, "frechet_extrapolated"]
    ]
    return Table(
        name="measures",
        title=f"{n:,} images of each kind against as many real ones, mean of {draws} draws",
        columns=["measure", *_PREFIX],
        rows=rows,
        note="Other real images are the floor: no generator can be better but by chance. The twin is the ceiling.",
    )


def _save_curve(context: RunContext, draws: Sequence[_Draw], n: int) -> None:
    import numpy as np

    from dcgan_analysis import figures

    sizes = _sizes(n)
    series = {}
    for kind in (SAMPLES, REAL):
        values = np.array([one.curve[kind] for one in draws])
        series[kind] = figures.Series(
            sizes, values.mean(0).tolist(), low=values.min(0).tolist(), high=values.max(0).tolist()
        )
    figure = figures.curve(series, x_label="images of each kind", y_label="Fréchet distance", fractions=False)
    context.save_figure(
        figure,
        "curve",
        "The Fréchet distance falls with the number of images",
        "Compare distances at equal numbers only. The band reaches from the least to the largest of the draws.",
    )


def _save_images(
    context: RunContext, samples: np.ndarray, pool: _Pool, features: Tensor, reference: np.ndarray
) -> None:
    """Show samples inside and outside the neighbourhoods of real images, and real images that no sample reaches."""
    import numpy as np
    import torch

    from dcgan_analysis import figures
    from dcgan_analysis.neighbours import coverage
    from dcgan_analysis_plugins.fidelity.measures import among

    real = pool.features[torch.from_numpy(reference)]
    inside, reached = among(real.double(), features.double()).numpy(), coverage(real, features).numpy()
    rows = {
        "inside": ("Samples in the neighbourhood of a real image", samples[inside]),
        "outside": ("Samples outside all neighbourhoods of real images", samples[~inside]),
        "missed": ("Real images without a sample in their neighbourhood", pool.images[reference][~reached]),
    }
    for name, (title, images) in rows.items():
        if len(images):
            grid = figures.image_grid(np.ascontiguousarray(images[:_SHOWN]), 12)
            context.save_figure(grid, name, title, f"{len(images):,} of {len(reference):,} in the first draw.")

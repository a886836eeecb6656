"""supervised-cnn: how far does the same network come that learns from the labels alone? (section 5.2).

1. The layers of a discriminator, from random weights, the last unit replaced by K logits: of the checkpoint given, none
   of whose weights is used, of an architecture given by name, or of the paper's SVHN network. It is trained on one draw
   of 100 labels per class: the first tested draw of svm-svhn under the same seed, with the same 10,000 images held out,
   photo by photo where photos are known.
2. Random search over 64 trials: learning rate, weight decay, beta1, dropout, label smoothing, random shifts, batch
   size, each drawn from the seed and the number of the trial alone. A trial stops early by its error on 1,000 of the
   held-out images, keeps the epoch with the least, and is then judged on all held-out images.
3. The trial with the least held-out error is tested, once. That error is a minimum over trials and so a little too low;
   the test error is not.
4. The control: the settings of the best trial, but only the last layer learns, on a trunk of random weights.

Trials run through joblib: ``--set n_jobs=2``, or any back end under ``joblib.parallel_config``. Each is kept in the
cache as soon as it is done: a stopped search goes on, one with more trials computes the new ones alone.

Consumes a labelled dataset with a training and a test split; a checkpoint, for its architecture alone, may be given.
Produces ``validation_error``, ``test_error``, ``frozen_validation_error``, ``frozen_test_error``, predictions.npz.

Reference: Radford, Metz, Chintala, ICLR 2016, arXiv 1511.06434, section 5.2 and Table 2. The paper gives neither the
space nor the stopping rule of its search; those here are this project's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt, field_validator

from dcgan_analysis.api import AnalysisConfig, Demo, Metric, Needs, error_metric
from dcgan_analysis.probing import (
    TABLE_2,
    classes_table,
    labelled_images,
    make_draws,
    save_class_figures,
    save_predictions,
)
from dcgan_analysis_plugins.supervised_cnn.classifier_search import save_epochs, save_search, trials_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from dcgan_analysis.api import Result, RunContext
    from dcgan_analysis.models import Architecture
    from dcgan_analysis.probing import LabelledImages
    from dcgan_analysis_plugins.supervised_cnn.search import ClassifierTask, ClassifierTrial

BEST, FROZEN = "supervised CNN", "random trunk, trained head"
_SVHN, _ARCHITECTURE = "svhn", "dcgan32-svhn"
_PUBLISHED = TABLE_2[-1].values[1]  # validation error
_PUBLISHED_LABELS, _PUBLISHED_TRIALS = 100, 64
_PAPER = "Radford et al. 2016, section 5.2: random search over 64 trials"


class SupervisedCnnConfig(AnalysisConfig):
    """Settings; the defaults follow section 5.2 where it says anything."""

    architecture: str | None = Field(
        default=None, description="architecture by name; none given: the checkpoint's, without one dcgan32-svhn"
    )
    trials: PositiveInt = Field(default=64, description="trials of the random search")
    epochs: PositiveInt = Field(default=40, description="a trial trains for at most so many epochs")
    patience: PositiveInt = Field(default=8, description="it stops after so many without a new least error")
    stopping: PositiveInt = Field(default=1_000, description="held-out images that decide when a trial stops")
    mirror: bool = Field(default=False, description="whether trials may mirror images: not for digits")
    validation: PositiveInt = Field(
        default=10_000, description="training images held out to choose a trial; at most half of them are"
    )
    labels_per_class: PositiveInt | None = Field(
        default=None, description="labels per class; none given: 100, or fewer if the dataset is small"
    )
    n_jobs: int | None = Field(
        default=None, description="trials at the same time, -1: one a core; none given: as joblib's back end says, or 1"
    )
    control: bool = Field(default=True, description="whether a random trunk with a trained last layer is run beside it")

    @field_validator("n_jobs")
    @classmethod
    def _some_trials_run(cls, value: int | None) -> int | None:
        if value == 0:
            msg = "must be 1 or more, or -1 for one trial a core"
            raise ValueError(msg)
        return value


class SupervisedCnn:
    """Random search over trainings of the discriminator's layers on few labels."""

    name = "supervised-cnn"
    summary = "The discriminator's layers trained on few labels, random search over 64 trials (5.2, Table 2)"
    question = "How well are images classified by the same network that learned from few labels alone?"
    reference = "Radford, Metz, Chintala 2016, section 5.2: https://arxiv.org/abs/1511.06434"
    config_type = SupervisedCnnConfig
    needs = Needs(dataset=_SVHN, splits=("train", "test"), labels=True)
    demo = Demo(
        dataset="digits",
        settings={"trials": 4, "epochs": 4, "validation": 100, "stopping": 50, "labels_per_class": 10},
        limit=300,
    )

    def requires(self, config: SupervisedCnnConfig) -> Needs:
        """Return what it consumes: images of the checkpoint's shape, unless an architecture is named."""
        return replace(self.needs, fit="exact" if config.architecture is None else None)

    def checks(self, context: RunContext, config: SupervisedCnnConfig) -> list[Callable[[], object]]:
        """Put the classifier together, and draw the images that it learns from."""
        from dcgan_analysis_plugins.supervised_cnn.classifier import Classifier

        return [
            lambda: Classifier(_architecture(context, config), 2),
            lambda: make_tasks(context, config, labelled_images(context, validation=config.validation)),
        ]

    def run(self, context: RunContext, config: SupervisedCnnConfig) -> Result:
        """Search, take the best trial, test it and its control."""
        with context.stage("images and draws"):
            images = labelled_images(context, validation=config.validation)
            tasks = make_tasks(context, config, images)
        with context.stage(f"{config.trials} trials") as stage:
            trials, computed = _run(context, config, tasks)
            stage.note = f"{computed} computed, {len(trials) - computed} were in the cache already"
        best = min(trials, key=lambda trial: trial.error)
        shown = {BEST: best}
        if config.control:
            with context.stage(FROZEN):
                frozen = replace(best.task, settings=replace(best.task.settings, frozen=True))
                shown[FROZEN] = _run(context, config, [frozen])[0][0]
        with context.stage("test"):
            predictions = {name: _predict(trial, images) for name, trial in shown.items()}
        with context.stage("figures"):
            save_predictions(context, images, predictions)
            save_search(context, trials)
            save_epochs(context, shown, chosen=BEST)
            save_class_figures(context, images, predictions[BEST])
        _note(context, config, images, best)
        return context.result(
            title=f"Supervised {best.task.architecture.name} on {context.dataset.name} with few labels",
            headline="validation_error",
            metrics=_metrics(context, config, images, shown, predictions),
            tables=[trials_table(trials), classes_table(images, predictions)],
        )


def make_tasks(context: RunContext, config: SupervisedCnnConfig, images: LabelledImages) -> list[ClassifierTask]:
    """Return the trials; images and draw are those of svm-svhn under the same seed."""
    import numpy as np

    from dcgan_analysis.data import Preprocessing, pick
    from dcgan_analysis_plugins.supervised_cnn.classifier import Labelled
    from dcgan_analysis_plugins.supervised_cnn.search import ClassifierTask, draw_settings

    architecture = _architecture(context, config)
    Preprocessing.for_range(architecture.image_shape, architecture.image_range).check(
        images.train.image_shape, dataset=context.dataset.name, checkpoint=architecture.name
    )
    draws = make_draws(images, config.labels_per_class, context, choosing=1, tested=1, usual=_PUBLISHED_LABELS)
    if not draws.per_class:  # too few images for any of the usual numbers
        draws = make_draws(images, 1, context, choosing=1, tested=1)
    held, chosen = np.flatnonzero(images.held_out), draws.tested[0]
    train = Labelled(images.train.images[chosen], images.labels[chosen])
    validation = Labelled(images.train.images[held], images.labels[held])
    order = context.rng("images that stop a trial").permutation(len(held))
    stopping = pick(order, min(config.stopping, len(held)), validation.labels)
    tasks = []
    for number in range(config.trials):
        rng = context.rng("trial", str(number))
        settings = draw_settings(rng, epochs=config.epochs, patience=config.patience, mirror=config.mirror)
        seed = int(rng.integers(2**62))
        tasks.append(ClassifierTask(architecture, len(images.classes), train, validation, stopping, settings, seed))
    return tasks


def _architecture(context: RunContext, config: SupervisedCnnConfig) -> Architecture:
    from dcgan_analysis.host.host import default_host

    if config.architecture is not None:
        return default_host().architectures[config.architecture].create()
    if context.has_checkpoint:
        return context.checkpoint.architecture
    return default_host().architectures[_ARCHITECTURE].create()


def _run(
    context: RunContext, config: SupervisedCnnConfig, tasks: Sequence[ClassifierTask]
) -> tuple[list[ClassifierTrial], int]:
    from dcgan_analysis_plugins.supervised_cnn.search import run_classifier_trials

    return run_classifier_trials(tasks, folder=context.cache_dir, n_jobs=config.n_jobs, progress=context.progress)


def _predict(trial: ClassifierTrial, images: LabelledImages) -> np.ndarray:
    from dcgan_analysis_plugins.supervised_cnn.classifier import predict

    return predict(trial.network(), images.test.images)


def _per_class(trial: ClassifierTrial) -> int:
    return len(trial.task.train.labels) // trial.task.classes


def _is_published(context: RunContext, trial: ClassifierTrial) -> bool:
    """Whether the paper's figure may stand beside this run's."""
    name, labels = trial.task.architecture.name, _per_class(trial)
    return (context.dataset.name, context.limit, labels, name) == (_SVHN, None, _PUBLISHED_LABELS, _ARCHITECTURE)


def _metrics(
    context: RunContext,
    config: SupervisedCnnConfig,
    images: LabelledImages,
    shown: Mapping[str, ClassifierTrial],
    predictions: Mapping[str, np.ndarray],
) -> dict[str, Metric]:
    same = _is_published(context, shown[BEST])
    how = {BEST: f"the least of {config.trials} trials", FROZEN: "settings of the best trial"}
    metrics = {}
    for name, trial in shown.items():
        prefix, published = ("", _PUBLISHED if same else None) if name == BEST else ("frozen_", None)
        text = f"{name}, {_per_class(trial)} labels per class"
        metrics[f"{prefix}validation_error"] = error_metric(
            trial.wrong,
            len(trial.task.validation.labels),
            f"{text}, {how[name]}, held-out images",
            published=published,
            source=_PAPER if published else None,
        )
        wrong = len(images.test) - images.correct(predictions[name])
        metrics[f"{prefix}test_error"] = error_metric(wrong, len(images.test), f"{text}, test images")
    return metrics


def _note(context: RunContext, config: SupervisedCnnConfig, images: LabelledImages, best: ClassifierTrial) -> None:
    whole = ", held out photo by photo" if images.train.groups is not None else ""
    context.note(
        f"{len(best.task.validation.labels):,} images judge the trials{whole}; {len(best.task.stopping):,} of them "
        "also decide when each stops. The least error over trials is a little too low; the test error is not."
    )
    if _is_published(context, best) and config.trials < _PUBLISHED_TRIALS:
        context.note(f"The paper searched {_PUBLISHED_TRIALS} trials, this run {config.trials}.")

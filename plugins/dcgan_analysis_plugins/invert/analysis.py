"""invert: are training images reconstructed better than images that the generator never saw?

1. Latent vectors are searched whose samples come nearest to training images, to held-out images and to samples of the
   generator itself (``Checkpoint.invert``); what the vectors give is the reconstruction.
2. The chance that a training image is reconstructed better than a held-out one: one half without memorisation.
   Control: the same for the random twin, which has seen neither. Where the two sets differ by themselves (one has the
   plainer images) it leaves one half too, and only what goes beyond it counts.
3. The lower tail: how many training images are reconstructed better than the best one per cent of held-out images.
   A few that were learned by heart move no mean, and stand out here.
4. Power: a share of the training images gets errors of own samples, which a generator that knows them by heart would
   have; how often do the tests find it? Only tests that do may say that there is nothing.

Consumes a checkpoint with a generator and the dataset it was trained on, with a test split or with images that training
kept back.
Produces one verdict; ``training_closer``, the same of the twin and by features, ``excess``, ``best_training``, errors
by kind, ``power``, ``least_found``, and inversion.npz.

Reference: Webster, Rabin, Simon, Jurie 2019, "Detecting overfitting of deep generative networks via latent recovery",
arXiv 1901.03396.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field, PositiveInt

from dcgan_analysis.api import Demo, Needs
from dcgan_analysis.latents import JudgeSettings, choose_judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from dcgan_analysis.api import Result, RunContext

_GRID = 4


class InvertConfig(JudgeSettings):
    """Settings."""

    images: int = Field(
        default=200, ge=20, description="training images, and held-out ones; fewer where there are fewer"
    )
    steps: PositiveInt = Field(default=200, description="steps of Adam from each of two starts")
    candidates: int = Field(default=2048, ge=16, description="samples among which starts are looked for")


class Invert:
    """Reconstructions of training images against those of held-out images."""

    name = "invert"
    summary = "Latent vectors of training and held-out images: reconstruction errors as a test of memorisation"
    question = "Are training images reconstructed better than images that the generator never saw?"
    reference = "Webster et al. 2019: https://arxiv.org/abs/1901.03396"
    config_type = InvertConfig
    needs = Needs(
        checkpoint="digits-dcgan32", dataset="digits", splits=("train",), images=10, generator=True, fit="exact"
    )
    demo = Demo(settings={"images": 30, "steps": 40, "candidates": 256})

    def requires(self, config: InvertConfig) -> Needs:
        """Return what it consumes with this judge."""
        return config.needs(self.needs)

    def checks(self, context: RunContext, config: InvertConfig) -> list[Callable[[], object]]:
        """Look for held-out images, for the judge, and at a few samples."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.invert.reconstruction import choose_images

        return [
            lambda: choose_images(context, config.images),
            partial(choose_judge, context, config, grid=_GRID),
            lambda: check_samples_vary(context, Sampler(context.checkpoint, context.device)),
        ]

    def run(self, context: RunContext, config: InvertConfig) -> Result:
        """Choose images, invert them with the generator and its twin, compare, and judge what that would have found."""
        from dcgan_analysis.checkpoints import Sampler
        from dcgan_analysis.latents import check_samples_vary
        from dcgan_analysis_plugins.invert.evidence import Evidence
        from dcgan_analysis_plugins.invert.reconstruction import (
            choose_images,
            reconstruct,
            save_arrays,
            save_errors,
            save_images,
        )

        judge = choose_judge(context, config, grid=_GRID)
        images = choose_images(context, config.images)
        check_samples_vary(context, Sampler(context.checkpoint, context.device), images.training.images)
        measured = reconstruct(context, images, judge, steps=config.steps, candidates=config.candidates)
        with context.stage("power"):
            evidence = Evidence(measured, context.rng("power"))
        with context.stage("figures"):
            save_images(context, measured)
            save_errors(context, measured)
            power = evidence.save_power(context)
        save_arrays(context, measured)
        return context.result(
            title=f"Reconstruction by {context.checkpoint.name}: {evidence.verdict}",
            headline="training_closer",
            metrics=evidence.metrics,
            tables=[evidence.table(), power],
        )

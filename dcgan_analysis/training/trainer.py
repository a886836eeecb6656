"""The training loop: the paper's plain scheme, one generator update and one discriminator update in turn.

What a training leaves in its folder:

    model.safetensors    the checkpoint as of the last finished interval
    state.safetensors    everything a resume needs
    history.json         losses, mean judgements and speed by interval
    samples/             images of fixed latent vectors, one PNG an interval

An epoch is one pass of the discriminator over the images. The authors' code spends a minibatch of images on each
generator update as well (without looking at it), so one of its epochs holds half as many updates.
"""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from dcgan_analysis.atomic import write_text
from dcgan_analysis.data.preprocessing import Preprocessing
from dcgan_analysis.errors import TrainingError
from dcgan_analysis.extraction.batchnorm import reestimate
from dcgan_analysis.stores.checkpoint import Checkpoint
from dcgan_analysis.stores.metadata import CheckpointMetadata
from dcgan_analysis.training.batches import DataOrder, check_split, draw_latents
from dcgan_analysis.training.networks import AdversarialPair
from dcgan_analysis.training.samples import save_grid
from dcgan_analysis.training.state import load_state, save_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.stores.metadata import Role
    from dcgan_analysis.training.config import TrainingConfig

__all__ = ["Trainer", "Watcher"]

# Streams of latent vectors, kept apart so that adding one never shifts another.
_FOR_GENERATOR, _FOR_DISCRIMINATOR, _FOR_STATISTICS = range(3)
_SAMPLES = 64
_STATISTICS_BATCHES = 100


class Watcher(Protocol):
    """Is told how a training goes."""

    def __call__(self, step: int, steps: int, losses: dict[str, float]) -> None:
        """Called every tenth step: steps done, steps in all, mean losses since the last save."""


@dataclass
class _Sums:
    """Running sums over the steps of one interval, kept as tensors: reading a number would wait for the device."""

    values: Tensor
    steps: int = 0

    def add(self, *values: Tensor) -> None:
        self.values += torch.stack(values)
        self.steps += 1

    def means(self) -> dict[str, float]:
        names = ("generator_loss", "discriminator_loss", "real_probability", "fake_probability")
        return dict(zip(names, (self.values / max(self.steps, 1)).tolist(), strict=True))


class Trainer:
    """Trains one pair of networks on one split of images.

    Args:
        config: The settings.
        architecture: What is trained, as ``config`` names it.
        split: The images, uint8 (N, C, H, W); their labels condition a conditional architecture.
        folder: Where everything is written.
        device: Where it is computed.

    Raises:
        TrainingError: If the images do not suffice for the settings.
    """

    def __init__(
        self,
        config: TrainingConfig,
        architecture: Architecture,
        split: DatasetSplit,
        folder: Path,
        device: torch.device,
    ) -> None:
        check_split(config, architecture, split)
        self.config = config
        self.architecture = architecture
        self.folder = folder
        self.device = device
        self.split = split
        self._preprocessing = Preprocessing.for_range(architecture.image_shape, architecture.image_range)
        self._preprocessing.check(split.image_shape, dataset=config.dataset, checkpoint=architecture.name)
        self._labels = torch.from_numpy(split.labels) if architecture.classes and split.labels is not None else None
        self.pair = AdversarialPair(architecture, config, device)
        self.order = DataOrder(len(split), config.batch_size, config.seed)
        self.step = 0
        self.history: list[dict[str, float]] = []

    @property
    def steps(self) -> int:
        """Number of steps of the whole training."""
        return max(1, round(self.config.epochs * self.order.steps_per_epoch))

    def resume(self) -> bool:
        """Go back to the saved state in the folder; returns whether there was one.

        Raises:
            TrainingError: If it was made with other settings or other images.
        """
        path = self.folder / "state.safetensors"
        if not path.exists():
            return False
        progress = load_state(path, self.pair, self.config)
        if progress["data_sha256"] != self.split.sha256:
            msg = f"'{self.folder}' was trained on other images under the name '{self.config.dataset}'."
            raise TrainingError(msg)
        self.step, self.history = progress["step"], progress["history"]
        return True

    def run(self, watch: Watcher | None = None) -> Checkpoint:
        """Train to the end and return the checkpoint.

        Raises:
            TrainingError: If a loss is no longer finite; the last saved state stays as it was.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        interval = self.order.steps_per_epoch * self.config.sample_every
        while self.step < self.steps:
            self._train_until(min(self.steps, (self.step // interval + 1) * interval), watch)
            self.save()
        return self.checkpoint()

    def _train_until(self, stop: int, watch: Watcher | None) -> None:
        self.pair.generator.train()
        self.pair.discriminator.train()
        sums = _Sums(torch.zeros(4, device=self.device))
        first, started = self.step, time.perf_counter()
        while self.step < stop:
            sums.add(*self._one_step())
            self.step += 1
            if watch is not None and (self.step % 10 == 0 or self.step == stop):
                watch(self.step, self.steps, sums.means())
        means = sums.means()
        if not all(map(math.isfinite, means.values())):
            msg = (
                f"Training diverged between steps {first} and {self.step}: {means}. "
                f"The state saved before in '{self.folder}' is kept. "
                "Train with a smaller learning_rate into another --out."
            )
            raise TrainingError(msg)
        seconds = time.perf_counter() - started
        images = (self.step - first) * self.config.batch_size
        epoch = self.step / self.order.steps_per_epoch
        self.history.append({"epoch": epoch, "step": self.step, **means, "images_per_second": images / seconds})

    def _one_step(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        images, labels = self._minibatch(self.step)
        generator_loss = self.pair.update_generator(self._latents(_FOR_GENERATOR, self.step), labels)
        self.pair.update_average(self.step)
        z = self._latents(_FOR_DISCRIMINATOR, self.step)
        return generator_loss, *self.pair.update_discriminator(images, z, labels)

    def _minibatch(self, step: int) -> tuple[Tensor, Tensor | None]:
        images = self._preprocessing(self.split.images[self.order.indices(step)])
        return images.to(self.device, memory_format=torch.channels_last), self._minibatch_labels(step)

    def _minibatch_labels(self, step: int) -> Tensor | None:
        return None if self._labels is None else self._labels[torch.from_numpy(self.order.indices(step))]

    def _latents(self, stream: int, step: int) -> Tensor:
        shape = (self.config.batch_size, self.architecture.z_size)
        return draw_latents(shape, self.config.z_prior, (self.config.seed, stream, step)).to(self.device)

    def save(self) -> None:
        """Write checkpoint, samples, history and, last, the state that a resume starts from."""
        checkpoint = self.checkpoint()
        checkpoint.save(self.folder / "model.safetensors")
        labels = None
        if self.architecture.classes:
            labels = torch.arange(_SAMPLES) % self.architecture.classes
        images = checkpoint.sample(_SAMPLES, seed=self.config.seed, labels=labels)
        epoch = self.step / self.order.steps_per_epoch
        save_grid(self._preprocessing.to_bytes(images), self.folder / "samples" / f"epoch-{epoch:07.2f}.png")
        write_text(self.folder / "history.json", json.dumps(self.history, indent=1))
        progress = {"step": self.step, "history": self.history, "data_sha256": self.split.sha256}
        save_state(self.folder / "state.safetensors", self.pair, self.config, progress)

    def checkpoint(self) -> Checkpoint:
        """Return the networks as they are, with BatchNorm statistics of clean data.

        During training the discriminator's running statistics mix real and generated images. The checkpoint
        gets statistics re-estimated on real images alone, the generator's on fresh latent vectors. With ``ema`` its
        generator is the moving average.
        """
        generator = copy.deepcopy(self.pair.average or self.pair.generator)
        discriminator = copy.deepcopy(self.pair.discriminator)
        steps = range(min(_STATISTICS_BATCHES, self.order.steps_per_epoch))
        with self.pair.precision():
            reestimate(discriminator, map(self._minibatch, steps), lambda batch: discriminator(*batch))
            latents = ((self._latents(_FOR_STATISTICS, step), self._minibatch_labels(step)) for step in steps)
            reestimate(generator, latents, lambda batch: generator(*batch))
        weights: dict[Role, dict[str, Tensor]] = {
            "generator": _plain_state(generator),
            "discriminator": _plain_state(discriminator),
        }
        return Checkpoint(self.folder.name, self.architecture, weights, self._metadata())

    def _metadata(self) -> CheckpointMetadata:
        return CheckpointMetadata(
            architecture=self.architecture.name,
            parameters=dict(self.architecture.parameters),
            z_prior=self.config.z_prior,
            image_range=self.architecture.image_range,
            data={
                "name": self.config.dataset,
                "split": self.config.split,
                "n": len(self.split),
                "sha256": self.split.sha256,
                "source": self.split.source,
            },
            training=self.config.model_dump(mode="json"),
            step=self.step,
            epoch=self.step / self.order.steps_per_epoch,
            provenance=_provenance(),
        )


def _plain_state(network: nn.Module) -> dict[str, Tensor]:
    # In the default memory layout: channels-last is a matter of speed, not of the weights.
    return {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def _provenance() -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "origin": "trained by dcgan-analysis",
        "dcgan_analysis": version("dcgan-analysis"),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }

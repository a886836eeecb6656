"""The two networks in training, their optimisers, and one update of each (section 3 and the authors' code)."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.parametrizations import spectral_norm

from dcgan_analysis.core.randomness import seeded, torch_generator
from dcgan_analysis.models.batchnorm import keep_modes
from dcgan_analysis.models.builder import build
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.models.kernels.winograd import with_winograd
from dcgan_analysis.models.widening import widen
from dcgan_analysis.training.augment import DiffAugment
from dcgan_analysis.training.distributed import SINGLE, Processes, synchronise_batchnorm
from dcgan_analysis.training.rotation import GENERATOR_WEIGHT, RotationHead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.models.architecture import Architecture, Role
    from dcgan_analysis.training.config import TrainingConfig

# Streams of augmentations: of the generator's update, of real and of generated images.
_IN_GENERATOR_UPDATE, _OF_REAL, _OF_FAKE = range(100, 103)


def apply(network: nn.Module, inputs: Tensor, labels: Tensor | None) -> Tensor:
    """Run a network on images or latent vectors; labels are left out where there are none.

    A plugin's own modules need not take labels.
    """
    result: Tensor = network(inputs) if labels is None else network(inputs, labels)
    return result


class AdversarialPair:
    """Generator, discriminator and an Adam for each.

    Args:
        architecture: What to build.
        config: Learning rate, precision, options, seed of the initial weights.
        device: Where they live.
        processes: This process among those that train the same pair: gradients are averaged over all.
        start: Checkpoint whose weights it starts with, of the same architecture or a narrower one; None: random ones.

    Attributes:
        generator: The generator in training.
        discriminator: The discriminator in training, its kernels reparametrised under ``spectral_norm``.
        averages: Networks with the moving average of their weights, by role, where one is kept.
        rotation: The head that tells quarter turns, or None.
    """

    def __init__(
        self,
        architecture: Architecture,
        config: TrainingConfig,
        device: torch.device,
        processes: Processes = SINGLE,
        start: Checkpoint | None = None,
    ) -> None:
        self.architecture = architecture
        self.device = device
        config = config.resolved(device)
        self.autocast = config.precision == "bfloat16"
        self._config = config
        self._rows = processes.rows(config.batch_size)
        source = torch_generator(config.seed)
        self.generator = self._place(build(architecture.generator, config.seed), source)
        self.discriminator = self._place(build(architecture.discriminator, config.seed), source)
        if start is not None:
            self.generator.load_state_dict(_initial_state(start, "generator", self.generator, architecture))
            self.discriminator.load_state_dict(_initial_state(start, "discriminator", self.discriminator, architecture))
        self._decays: dict[Role, float] = {"generator": config.ema, "discriminator": config.ema_discriminator}
        self.averages: dict[Role, nn.Module] = {
            role: copy.deepcopy(network).requires_grad_(False)
            for role, network in self._networks().items()
            if self._decays[role]
        }
        if config.spectral_norm:
            _normalise_spectrally(self.discriminator, config.seed)
        if config.sync_batchnorm and processes.count > 1:
            self.generator = synchronise_batchnorm(self.generator, device)
            self.discriminator = synchronise_batchnorm(self.discriminator, device)
        rotation = config.self_supervised == "rotation"
        self.rotation = RotationHead(architecture, config.seed).to(device) if rotation else None
        self.generator_optimizer = self._adam(self.generator)
        self.discriminator_optimizer = self._adam(self.discriminator, self.rotation)
        self._augment = DiffAugment(config.diff_augment, architecture.image_range)
        # Modules for the updates: one forward pass for each backward pass, as averaging them requires.
        self._generator: nn.Module = self.generator
        self._logits_of_both: nn.Module = _LogitsOfBoth(self.discriminator, self.rotation)
        if processes.count > 1:
            self._generator = DistributedDataParallel(self.generator)
            self._logits_of_both = DistributedDataParallel(self._logits_of_both)

    def _place(self, network: nn.Module, source: torch.Generator) -> nn.Module:
        initialise(network, source)
        # channels-last: the layout in which CPU and GPU convolutions are fastest.
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return with_winograd(network)

    def _adam(self, *networks: nn.Module | None) -> torch.optim.Adam:
        config = self._config
        return torch.optim.Adam(
            [parameter for network in networks if network is not None for parameter in network.parameters()],
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )

    def _networks(self) -> dict[Role, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    def trained(self) -> list[tuple[str, nn.Module, torch.optim.Adam]]:
        """Return what learns, with its name in a state and the optimiser that holds its moments."""
        parts: list[tuple[str, nn.Module, torch.optim.Adam]] = [
            ("generator", self.generator, self.generator_optimizer),
            ("discriminator", self.discriminator, self.discriminator_optimizer),
        ]
        return parts if self.rotation is None else [*parts, ("rotation", self.rotation, self.discriminator_optimizer)]

    def precision(self) -> torch.autocast:
        """Context in which convolutions and products run in the training's arithmetic."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast)

    def set_learning_rate(self, share: float) -> float:
        """Set the step size of both optimisers for a share of the training done, 0 to 1, and return it."""
        rate = self._config.learning_rate * learning_rate_factor(self._config, share)
        if self._config.learning_rate_decay != "none":
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
                for group in optimizer.param_groups:
                    group["lr"] = rate
        return rate

    def generate(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Images (N, C, H, W) from latent vectors (N, Z), in the training precision and the modules' modes."""
        with self.precision():
            images = apply(self.generator, z, labels)
        return images

    def judge(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Logits (N,) in float32."""
        with self.precision():
            logits = apply(self.discriminator, images, labels)
        return logits.float()

    def _changed(self, images: Tensor, stream: int, step: int) -> Tensor:
        key = (self._config.seed, stream, step)
        return self._augment(images, key, self._rows, self._config.batch_size)

    def update_generator(self, z: Tensor, labels: Tensor | None, step: int = 0) -> tuple[Tensor, Tensor]:
        """Update the generator, which is to make the discriminator output 1.

        Returns:
            Adversarial loss, and the images (N, C, H, W) that it made before the update (detached).
        """
        # Gradients of the discriminator's weights are not needed.
        for _, network, _ in self.trained()[1:]:
            network.requires_grad_(False)
        try:
            with self.precision():
                images = apply(self._generator, z, labels)
            seen = self._changed(images, _IN_GENERATOR_UPDATE, step)
            logits = self.judge(seen, labels)
            loss = total = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            if self.rotation is not None:
                with self.precision():
                    total = loss + GENERATOR_WEIGHT * self.rotation(self.discriminator, seen, labels)
            self.generator_optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            self.generator_optimizer.step()
        finally:
            for _, network, _ in self.trained()[1:]:
                network.requires_grad_(True)
        return loss.detach(), images.detach()

    @torch.no_grad()
    def update_averages(self, step: int) -> None:
        """Update the moving averages after the updates of ``step`` (from 0).

        The decay grows from 0.1 as (1 + step) / (10 + step), so that the random initial weights are soon forgotten.
        Averaging a GAN's generator: Yazici et al. 2019, arXiv 1806.04498.
        """
        networks = self._networks()
        for role, averaged in self.averages.items():
            weight = 1 - min(self._decays[role], (1 + step) / (10 + step))
            for average, latest in zip(averaged.parameters(), networks[role].parameters(), strict=True):
                average.lerp_(latest, weight)

    def update_discriminator(
        self, images: Tensor, fake: Tensor, labels: Tensor | None, step: int = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update the discriminator, which is to tell real from generated images.

        Real and generated minibatches pass separately: batch normalisation sees each alone.

        Args:
            images: Real images (N, C, H, W).
            fake: Generated images (N, C, H, W), without gradients.
            labels: Class numbers (N,) of both, or None.
            step: Number of the step, which augmentations are drawn for.

        Returns:
            Adversarial loss, mean probability given to real images, and to generated ones (detached).
        """
        images, fake = self._changed(images, _OF_REAL, step), self._changed(fake, _OF_FAKE, step)
        with self.precision():
            real_logits, fake_logits, *rotation_losses = self._logits_of_both(images, fake, labels)
        real_logits, fake_logits = real_logits.float(), fake_logits.float()
        loss = F.binary_cross_entropy_with_logits(
            # One-sided: smoothing the target of generated images too would draw them together (Salimans et al. 2016).
            real_logits,
            torch.full_like(real_logits, 1 - self._config.label_smoothing),
        ) + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(sum(rotation_losses, loss))
        self.discriminator_optimizer.step()
        with torch.no_grad():
            return loss.detach(), real_logits.sigmoid().mean(), fake_logits.sigmoid().mean()

    def plain(self, role: Role, *, averaged: bool = True) -> nn.Module:
        """Return a copy of a network as its architecture builds it, spectral norms folded into the kernels.

        Args:
            role: Which network.
            averaged: Whether it is the moving average, where there is one.
        """
        trained = (self._networks() | (self.averages if averaged else {}))[role]
        network = build(partial(self.architecture.network, role), self._config.seed)
        with torch.no_grad(), keep_modes(trained):
            # In evaluation mode a reparametrised kernel is read without one more power iteration.
            trained.eval()
            state = {name: _tensor(trained, name).detach().clone() for name in network.state_dict()}
        network.load_state_dict(state)
        network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.requires_grad_(False)


class _LogitsOfBoth(nn.Module):
    """Real and generated images through one discriminator, apart from each other, in one call."""

    def __init__(self, discriminator: nn.Module, rotation: RotationHead | None) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.rotation = rotation

    def forward(self, real: Tensor, fake: Tensor, labels: Tensor | None) -> tuple[Tensor, ...]:
        """Return the logits (N,) of both, and the loss of the turns of real images where there is a head for them."""
        logits = apply(self.discriminator, real, labels), apply(self.discriminator, fake, labels)
        return logits if self.rotation is None else (*logits, self.rotation(self.discriminator, real, labels))


def _initial_state(
    start: Checkpoint, role: Role, network: nn.Module, architecture: Architecture
) -> Mapping[str, Tensor]:
    """Return the checkpoint's weights, widened where the network is wider."""
    weights = start.weights[role]
    if start.architecture.identity() == architecture.identity():
        return weights
    return widen(weights, network.state_dict(), architecture, role)


def learning_rate_factor(config: TrainingConfig, share: float) -> float:
    """Return the factor of the learning rate after a share of the training, 1 at first.

    Example:
        >>> from dcgan_analysis.training.config import TrainingConfig
        >>> linear = TrainingConfig(learning_rate_decay="linear", decay_start=0.5)
        >>> learning_rate_factor(linear, 0.25), learning_rate_factor(linear, 0.75)
        (1.0, 0.5)
    """
    if config.learning_rate_decay == "none":
        return 1.0
    fallen = min(1.0, max(0.0, (share - config.decay_start) / (1 - config.decay_start)))
    return 1 - fallen if config.learning_rate_decay == "linear" else 0.5 * (1 + math.cos(math.pi * fallen))


def _normalise_spectrally(network: nn.Module, seed: int) -> None:
    """Reparametrise every kernel and matrix by its spectral norm (Miyato et al. 2018, arXiv 1802.05957)."""
    # The vectors of the power iteration begin at random.
    with seeded(seed):
        for module in list(network.modules()):
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                spectral_norm(module)


def _tensor(network: nn.Module, name: str) -> Tensor:
    """Return a parameter or buffer by its name in the plain network; a reparametrised one is computed."""
    module, _, attribute = name.rpartition(".")
    tensor: Tensor = getattr(network.get_submodule(module), attribute)
    return tensor

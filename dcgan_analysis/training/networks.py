"""The two networks in training, their optimisers, and one update of each (section 3 and the authors' code)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from dcgan_analysis.models.builder import build, initialise

if TYPE_CHECKING:
    from torch import Tensor

    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.training.config import TrainingConfig

__all__ = ["AdversarialPair"]


class AdversarialPair:
    """Generator, discriminator and an Adam for each.

    Args:
        architecture: What to build.
        config: Learning rate, precision, moving average, seed of the initial weights.
        device: Where they live.

    Attributes:
        average: The generator with the moving average of its weights, or None.
    """

    def __init__(self, architecture: Architecture, config: TrainingConfig, device: torch.device) -> None:
        self.architecture = architecture
        self.device = device
        self.autocast = config.precision == "bfloat16"
        source = torch.Generator().manual_seed(config.seed)
        self.generator = self._place(build(architecture.generator, config.seed), source)
        self.discriminator = self._place(build(architecture.discriminator, config.seed), source)
        self.average = copy.deepcopy(self.generator).requires_grad_(False) if config.ema else None
        self._ema = config.ema
        self.generator_optimizer = self._adam(self.generator, config)
        self.discriminator_optimizer = self._adam(self.discriminator, config)

    def _place(self, network: nn.Module, source: torch.Generator) -> nn.Module:
        initialise(network, source)
        # channels-last: the layout in which CPU and GPU convolutions in bfloat16 are fastest.
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _adam(self, network: nn.Module, config: TrainingConfig) -> torch.optim.Adam:
        return torch.optim.Adam(
            network.parameters(),
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
            fused=True,
        )

    def precision(self) -> torch.autocast:
        """Context in which convolutions and products run in the training's arithmetic."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast)

    def generate(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Images (N, C, H, W) from latent vectors (N, Z), in the training precision and the modules' modes."""
        with self.precision():
            images: Tensor = self.generator(z, labels)
        return images

    def judge(self, images: Tensor, labels: Tensor | None) -> Tensor:
        """Logits (N,) in float32."""
        with self.precision():
            logits: Tensor = self.discriminator(images, labels)
        return logits.float()

    def update_generator(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """Let the generator make the discriminator say real; returns its loss (a detached scalar)."""
        self.discriminator.requires_grad_(False)
        try:
            logits = self.judge(self.generate(z, labels), labels)
            loss = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
            self.generator_optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            self.generator_optimizer.step()
        finally:
            self.discriminator.requires_grad_(True)
        return loss.detach()

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Let the moving average follow the generator after its update of ``step`` (from 0).

        The decay grows from 0.1 to its value, (1 + step) / (10 + step), so that the average does not drag the random
        weights of the beginning along. Averaging a GAN's generator: Yazici et al. 2019, arXiv 1806.04498.
        """
        if self.average is None:
            return
        weight = 1 - min(self._ema, (1 + step) / (10 + step))
        for average, latest in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            average.lerp_(latest, weight)

    def update_discriminator(self, images: Tensor, z: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Let the discriminator tell real from generated.

        Real and generated minibatches pass separately: batch normalisation sees each alone.

        Returns:
            Loss, mean probability given to real images, mean probability given to generated ones (detached).
        """
        with torch.no_grad():
            fake = self.generate(z, labels)
        real_logits = self.judge(images, labels)
        fake_logits = self.judge(fake, labels)
        loss = F.binary_cross_entropy_with_logits(
            real_logits, torch.ones_like(real_logits)
        ) + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.discriminator_optimizer.step()
        with torch.no_grad():
            return loss.detach(), real_logits.sigmoid().mean(), fake_logits.sigmoid().mean()

"""Training against the loop that one would write by hand, on the same network and images, in one run.

    python benchmarks/training.py                       # dcgan32, width 64
    python benchmarks/training.py --architecture dcgan64 --width 32
    python benchmarks/training.py --compile             # and ours with both networks under torch.compile

The plain loop is that of PyTorch's well-known DCGAN example: float32, default memory format, Adam as it comes, the
discriminator on real images, on generated ones, then the generator through the same generated images. It makes one
forward pass of the generator a step; the paper's scheme makes two, the second for images that the updated generator
shows to the discriminator (``reuse_samples`` leaves that one out). All run in turn, so that what else the machine
does hits them alike; the first step of each is not counted. Times are of this process's CPU, which other processes
on the machine disturb less than the clock.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from arguments import parse, seconds
from torch import nn

from dcgan_analysis.models import tables
from dcgan_analysis.models.builder import build
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair


class PlainLoop:
    """The loop of the PyTorch example."""

    def __init__(self, architecture, device):
        self.device = device
        source = torch.Generator().manual_seed(0)
        self.z_size = architecture.z_size
        self.generator, self.discriminator = build(architecture.generator), build(architecture.discriminator)
        for network in (self.generator, self.discriminator):
            initialise(network, source)
            network.to(device)
        self.adams = [
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.discriminator)
        ]
        self.loss = nn.BCEWithLogitsLoss()

    def __call__(self, images):
        """Do one step."""
        generator_adam, discriminator_adam = self.adams
        images = images.to(self.device)
        ones, zeros = torch.ones(len(images), device=self.device), torch.zeros(len(images), device=self.device)
        discriminator_adam.zero_grad()
        self.loss(self.discriminator(images), ones).backward()
        fake = self.generator(torch.randn(len(images), self.z_size, device=self.device))
        self.loss(self.discriminator(fake.detach()), zeros).backward()
        discriminator_adam.step()
        generator_adam.zero_grad()
        self.loss(self.discriminator(fake), ones).backward()
        generator_adam.step()


class Ours:
    """The trainer's step."""

    def __init__(self, architecture, batch, device, *, compiled=False, **settings):
        self.reuse = settings.get("reuse_samples", False)
        config = TrainingConfig(batch_size=batch, **settings)
        self.device = device
        self.pair = AdversarialPair(architecture, config, device)
        self.z_size = architecture.z_size
        if compiled:
            self.pair.generator.compile()
            self.pair.discriminator.compile()

    def __call__(self, images):
        """Do one step."""
        images = images.to(self.device, memory_format=torch.channels_last)
        _, fake = self.pair.update_generator(self.latents(images), None)
        if not self.reuse:
            with torch.no_grad():
                fake = self.pair.generate(self.latents(images), None)
        self.pair.update_discriminator(images, fake, None)

    def latents(self, images):
        """Draw as many latent vectors from the prior."""
        return torch.rand(len(images), self.z_size, device=self.device) * 2 - 1


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=["dcgan32", "dcgan64"], default="dcgan32")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true")
    options = parse(parser, {"width": 4, "batch": 4, "repeats": 1})
    device = torch.device(options.device)

    architecture = getattr(tables, options.architecture)(width=options.width)
    channels, height, width = architecture.image_shape
    source = torch.Generator().manual_seed(1)
    images = torch.rand(options.batch, channels, height, width, generator=source) * 2 - 1
    loops = {
        "plain loop": PlainLoop(architecture, device),
        "ours": Ours(architecture, options.batch, device),
        "ours, reuse_samples": Ours(architecture, options.batch, device, reuse_samples=True),
    }
    if options.compile:
        loops["ours, torch.compile"] = Ours(architecture, options.batch, device, compiled=True)
    times = {name: [] for name in loops}
    for repeat in range(options.repeats + 1):
        for name, loop in loops.items():
            started = seconds(options.device, processor=True)
            loop(images)
            if repeat:
                times[name].append(seconds(options.device, processor=True) - started)
    precision = TrainingConfig().resolved(device).precision
    print(
        f"{options.architecture}, width {options.width}, minibatches of {options.batch}, "
        f"{torch.get_num_threads()} threads, {options.device}, precision auto = {precision}, torch {torch.__version__}"
    )
    plain = statistics.median(times["plain loop"])
    for name, spent in times.items():
        median = statistics.median(spent)
        print(
            f"{name:22} {options.batch / median:8.1f} images per CPU second, {plain / median:5.2f} times the plain loop"
        )


if __name__ == "__main__":
    main()

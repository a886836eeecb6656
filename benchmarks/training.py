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
import time

import torch
from torch import nn

from dcgan_analysis.models import tables
from dcgan_analysis.models.builder import build
from dcgan_analysis.models.initialisation import initialise
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.networks import AdversarialPair


class PlainLoop:
    """The loop of the PyTorch example."""

    def __init__(self, architecture):
        source = torch.Generator().manual_seed(0)
        self.z_size = architecture.z_size
        self.generator, self.discriminator = build(architecture.generator), build(architecture.discriminator)
        initialise(self.generator, source)
        initialise(self.discriminator, source)
        self.adams = [
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.discriminator)
        ]
        self.loss = nn.BCEWithLogitsLoss()

    def __call__(self, images):
        """Do one step."""
        generator_adam, discriminator_adam = self.adams
        ones, zeros = torch.ones(len(images)), torch.zeros(len(images))
        discriminator_adam.zero_grad()
        self.loss(self.discriminator(images), ones).backward()
        fake = self.generator(torch.randn(len(images), self.z_size))
        self.loss(self.discriminator(fake.detach()), zeros).backward()
        discriminator_adam.step()
        generator_adam.zero_grad()
        self.loss(self.discriminator(fake), ones).backward()
        generator_adam.step()


class Ours:
    """The trainer's step."""

    def __init__(self, architecture, batch, *, compiled=False, **settings):
        self.reuse = settings.get("reuse_samples", False)
        config = TrainingConfig(batch_size=batch, **settings)
        self.pair = AdversarialPair(architecture, config, torch.device("cpu"))
        self.z_size = architecture.z_size
        if compiled:
            self.pair.generator.compile()
            self.pair.discriminator.compile()

    def __call__(self, images):
        """Do one step."""
        images = images.contiguous(memory_format=torch.channels_last)
        _, fake = self.pair.update_generator(torch.rand(len(images), self.z_size) * 2 - 1, None)
        if not self.reuse:
            with torch.no_grad():
                fake = self.pair.generate(torch.rand(len(images), self.z_size) * 2 - 1, None)
        self.pair.update_discriminator(images, fake, None)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=["dcgan32", "dcgan64"], default="dcgan32")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()

    architecture = getattr(tables, options.architecture)(width=options.width)
    channels, height, width = architecture.image_shape
    source = torch.Generator().manual_seed(1)
    images = torch.rand(options.batch, channels, height, width, generator=source) * 2 - 1
    loops = {
        "plain loop": PlainLoop(architecture),
        "ours": Ours(architecture, options.batch),
        "ours, reuse_samples": Ours(architecture, options.batch, reuse_samples=True),
    }
    if options.compile:
        loops["ours, torch.compile"] = Ours(architecture, options.batch, compiled=True)
    times = {name: [] for name in loops}
    for repeat in range(options.repeats + 1):
        for name, loop in loops.items():
            started = time.process_time()
            loop(images)
            if repeat:
                times[name].append(time.process_time() - started)
    precision = TrainingConfig().resolved(torch.device("cpu")).precision
    print(
        f"{options.architecture}, width {options.width}, minibatches of {options.batch}, "
        f"{torch.get_num_threads()} threads, precision auto = {precision}, torch {torch.__version__}"
    )
    plain = statistics.median(times["plain loop"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        print(
            f"{name:22} {options.batch / median:8.1f} images per CPU second, {plain / median:5.2f} times the plain loop"
        )


if __name__ == "__main__":
    main()

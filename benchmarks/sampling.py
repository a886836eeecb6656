"""Samples of a generator against the loop that one would write by hand, on the same latent vectors, in one run.

    python benchmarks/sampling.py                                    # dcgan32, width 128, random weights
    python benchmarks/sampling.py --checkpoint mnist-conditional     # and the source of mnist-nn, folded

The plain loop: the generator in evaluation mode and float32, default memory format, batches of 100, as bytes. All
alternate; ratios are of processor times, which other work on the machine disturbs less than the clock.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import torch
from arguments import parse, seconds

from dcgan_analysis.checkpoints import Sampler
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.models.tables import dcgan32
from dcgan_analysis.runs.library import load_checkpoint

BATCH = 100


def plain_loop(checkpoint, z, labels, device):
    """Draw as a careful user would without a framework."""
    network = checkpoint.generator().eval().to(device)
    low, high = checkpoint.metadata.image_range
    parts = []
    with torch.no_grad():
        for start in range(0, len(z), BATCH):
            inputs = [each[start : start + BATCH].to(device) for each in (z, labels) if each is not None]
            images = (network(*inputs) - low) * (255 / (high - low))
            parts.append(images.round().clamp(0, 255).to(torch.uint8).cpu().numpy())
    return np.concatenate(parts)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="random weights of dcgan32 where none is named")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parse(parser, {"width": 4, "samples": 12, "repeats": 1})
    random = Checkpoint.random(dcgan32(width=options.width), seed=0)
    checkpoint = load_checkpoint(options.checkpoint) if options.checkpoint else random
    z = checkpoint.latents(options.samples, seed=1)
    sampler = Sampler(checkpoint, torch.device(options.device))
    labels = sampler.labels(range(len(z)))
    loops = {
        "plain loop": lambda: plain_loop(checkpoint, z, labels, options.device),
        "sampling": lambda: sampler(z, labels),
    }
    if labels is not None:
        from dcgan_analysis_plugins.mnist_nn.folded import faster_copy

        folded = Sampler(
            checkpoint, torch.device(options.device), generator=faster_copy(checkpoint.generator()), batch=500
        )
        loops["folded"] = lambda: folded(z, labels)
    times, images = {name: [] for name in loops}, {}
    for repeat in range(options.repeats + 1):
        for name, loop in loops.items():
            started = seconds(options.device, processor=True)
            images[name] = loop()
            if repeat:
                times[name].append(seconds(options.device, processor=True) - started)
    plain = statistics.median(times["plain loop"])
    print(f"{checkpoint.architecture.name}, {len(z):,} samples, {torch.get_num_threads()} threads, {options.device}")
    for name, spent in times.items():
        median = statistics.median(spent)
        apart = np.abs(images[name].astype(int) - images["plain loop"]).max()
        print(
            f"{name:10} {len(z) / median:8.0f} images per CPU second, {plain / median:5.2f} times the plain loop, "
            f"bytes differ by {apart} at most"
        )


if __name__ == "__main__":
    main()

"""Feature extraction against the loop that one would write by hand, on the same network and images, in one run.

    python benchmarks/extraction.py                    # full-size dcgan32, 28,672 features
    python benchmarks/extraction.py --width 64 --images 2048

The plain loop: float32, default memory format, BatchNorm in evaluation mode, forward hooks, max-pooling, ``torch.cat``
of the taps, one append a batch. Both run alternately, so that what else the machine does hits both alike. Also printed:
the difference of the features, and the share of the measured matrix-product peak that the extraction reaches.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from arguments import parse, seconds
from torch.nn import functional as F

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.features.extractor import FeatureExtractor, FeatureSpec
from dcgan_analysis.features.pipeline import FORWARD_BATCH
from dcgan_analysis.models.summary import output_shape
from dcgan_analysis.models.tables import dcgan32

TAPS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6")


def plain_loop(network, images, batch=128):
    """Extract as a careful user would without a framework."""
    outputs, device = {}, next(network.parameters()).device
    handles = [
        getattr(network, tap).register_forward_hook(lambda m, i, o, tap=tap: outputs.__setitem__(tap, o))
        for tap in TAPS
    ]
    parts = []
    with torch.no_grad():
        for start in range(0, len(images), batch):
            network(images[start : start + batch].to(device))
            parts.append(torch.cat([F.adaptive_max_pool2d(outputs[t], 4).flatten(1) for t in TAPS], dim=1).cpu())
    for handle in handles:
        handle.remove()
    return torch.cat(parts)


def fast_loop(extractor, images, batch):
    """Extract as the framework does, into one matrix of the store's type."""
    result = torch.empty(len(images), extractor.size, dtype=torch.bfloat16)
    start = 0
    for features in extractor.stream(images.split(batch), lambda part: part, torch.bfloat16):
        result[start : start + len(features)] = features
        start += len(features)
    return result


def flop_per_image(architecture):
    """Return floating-point operations of the discriminator's convolutions for one image."""
    shape, total = architecture.image_shape, 0
    for layer in architecture.discriminator_layers:
        if layer.kind != "conv":
            continue
        out = output_shape(layer, shape)
        total += 2 * shape[0] * layer.kernel**2 * out[0] * out[1] * out[2]
        shape = out
    return total


def timed(call, device):
    """Return the seconds that a call takes."""
    started = seconds(device)
    call()
    return seconds(device) - started


def matmul_peak(dtype, device, size):
    """Return the best rate of a square matrix product, operations per second."""
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    best = min(timed(lambda: a @ b, device) for _ in range(12))
    return 2 * size**3 / best


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=FORWARD_BATCH, help="images per forward pass of ours")
    parser.add_argument("--peak", type=int, default=2048, help="size of the matrices that give the peak")
    options = parse(parser, {"width": 4, "images": 8, "repeats": 1, "peak": 64})
    device = torch.device(options.device)

    architecture = dcgan32(width=options.width)
    network = Checkpoint.random(architecture, seed=0).discriminator()
    images = torch.rand(options.images, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    spec = FeatureSpec(batchnorm="reestimated")
    extractor = FeatureExtractor(network, architecture, spec, device)
    extractor.reestimate(images.split(128))
    # The plain loop gets the same statistics, so that both compute the same function.
    network.load_state_dict(extractor.network_state())
    network.to(device)

    exact, fast = plain_loop(network, images[:256]), fast_loop(extractor, images[:256], options.batch).float()
    difference = float((fast - exact).norm() / exact.norm())
    plain_times, fast_times = [], []
    for _ in range(options.repeats):
        plain_times.append(timed(lambda: plain_loop(network, images), device))
        fast_times.append(timed(lambda: fast_loop(extractor, images, options.batch), device))
    plain, ours = statistics.median(plain_times), statistics.median(fast_times)
    rate = flop_per_image(architecture) * options.images / ours
    peak = matmul_peak(extractor.dtype, device, options.peak)
    print(
        f"dcgan32, width {options.width}: {extractor.size:,} features, "
        f"{torch.get_num_threads()} threads, {options.device}, {extractor.dtype}"
    )
    print(f"plain loop   {options.images / plain:8.0f} images/s")
    print(f"extraction   {options.images / ours:8.0f} images/s")
    print(f"ratio        {plain / ours:8.2f}")
    print(f"relative difference of the features to float32: {difference:.1e}")
    print(
        f"{rate / 1e9:.0f} GFLOP/s of direct convolutions, {100 * rate / peak:.0f} % of the measured matrix-product "
        f"peak ({peak / 1e9:.0f} GFLOP/s); in float32 fast convolutions do with fewer"
    )


if __name__ == "__main__":
    main()

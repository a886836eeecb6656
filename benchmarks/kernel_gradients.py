"""Gradients of kernels of stride 2: from patches (models/patches.py) against torch's own, layer by layer.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/kernel_gradients.py

Both take turns on each layer; printed is the least time of each.
"""

from __future__ import annotations

import argparse
import time

import torch

from dcgan_analysis.models.kernels.patch_gradients import kernel_gradient

# Name, kernel, input maps, output maps, height and width of the input.
LAYERS = [
    ("dcgan32, width 64, conv2", 3, 64, 64, 32),
    ("dcgan32, width 64, conv4", 3, 128, 128, 16),
    ("dcgan32, width 64, conv6", 3, 256, 256, 8),
    ("dcgan32, width 128, conv2", 3, 128, 128, 32),
    ("dcgan32, width 128, conv4", 3, 256, 256, 16),
    ("dcgan32, width 128, conv6", 3, 512, 512, 8),
    ("dcgan32-svhn, width 64, conv2", 5, 64, 128, 16),
    ("dcgan32-svhn, width 64, conv3", 5, 128, 256, 8),
    ("dcgan64, width 64, conv2", 5, 64, 128, 32),
    ("dcgan64, width 64, conv3", 5, 128, 256, 16),
    ("dcgan64, width 64, conv4", 5, 256, 512, 8),
]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"minibatches of {options.batch}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    source = torch.Generator().manual_seed(0)
    for name, size, inputs, outputs, side in LAYERS:
        images, kernels, gradient = (
            torch.randn(shape, generator=source).to(memory_format=torch.channels_last)
            for shape in (
                (options.batch, inputs, side, side),
                (outputs, inputs, size, size),
                (options.batch, outputs, side // 2, side // 2),
            )
        )
        kinds = {
            "torch": lambda i=images, k=kernels, g=gradient, s=size: torch.nn.grad.conv2d_weight(
                i, k.shape, g, 2, s // 2
            ),
            "patches": lambda i=images, g=gradient, s=size: kernel_gradient(i, g, s, 2, s // 2),
        }
        least = dict.fromkeys(kinds, float("inf"))
        for _ in range(options.repeats):
            for kind, run in kinds.items():
                started = time.perf_counter()
                run()
                least[kind] = min(least[kind], time.perf_counter() - started)
        operations = 2 * kernels.numel() * gradient.numel() / outputs
        print(
            f"{name:30} torch {least['torch'] * 1e3:6.1f} ms ({operations / least['torch'] / 1e9:3.0f} GFLOP/s), "
            f"patches {least['patches'] * 1e3:6.1f} ms ({operations / least['patches'] / 1e9:3.0f} GFLOP/s), "
            f"{least['torch'] / least['patches']:.2f} times"
        )


if __name__ == "__main__":
    main()

"""Winograd's 3x3 convolutions of stride 1 against torch's own, layer by layer, forward and with both gradients.

    python benchmarks/convolutions.py                  # the layers of dcgan32 of width 128
    python benchmarks/convolutions.py --width 64

Both alternate in one run; the least time of each counts. On processors with units for bfloat16 the networks use those
instead, and neither of these; layers of fewer than 128 maps stay direct (``models.winograd``).
"""

from __future__ import annotations

import argparse
import copy
from functools import partial
from timeit import timeit

import torch
from torch import nn

from dcgan_analysis.models.kernels.winograd import WinogradConv2d


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    width = options.width
    print(f"minibatches of {options.batch}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for inputs, outputs, size in ((width, 2 * width, 16), (2 * width, 4 * width, 8)):
        torch.manual_seed(0)
        direct = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False).to(memory_format=torch.channels_last)
        fast = WinogradConv2d(inputs, outputs, 3, 1, 1, bias=False).to(memory_format=torch.channels_last)
        fast.load_state_dict(direct.state_dict())
        images = torch.randn(options.batch, inputs, size, size).to(memory_format=torch.channels_last)
        images.requires_grad_()
        gradient = torch.randn(options.batch, outputs, size, size).to(memory_format=torch.channels_last)

        def forward(layer, images=images):
            with torch.no_grad():
                return layer(images)

        def both(layer, images=images, gradient=gradient):
            torch.autograd.grad(layer(images), (images, layer.weight), gradient)

        exact = forward(copy.deepcopy(direct).double(), images.double())
        errors = [float((forward(layer) - exact).norm() / exact.norm()) for layer in (direct, fast)]
        for what, function in (("forward", forward), ("with both gradients", both)):
            calls = [partial(function, layer) for layer in (direct, fast)]
            times = [[timeit(call, number=1) for call in calls] for _ in range(options.repeats)]
            one, other = map(min, zip(*times, strict=True))
            print(
                f"{inputs} to {outputs} maps of {size} x {size}, {what}: "
                f"{1e3 * one:.0f} against {1e3 * other:.0f} ms, {one / other:.2f} times as fast"
            )
        print(f"  relative error {errors[0]:.1e} direct, {errors[1]:.1e} fast")


if __name__ == "__main__":
    main()

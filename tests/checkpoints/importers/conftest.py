"""Foreign files made here, by hand-written lists of shapes and by the PyTorch example's own modules."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.checkpoints.importers.contract import ImportRequest


def svhn_shapes(w, z, c):
    """discrim(X, w, w2, g2, b2, w3, g3, b3, wy) and gen(Z, w, g, b, w2, g2, b2, w3, g3, b3, wx)."""
    k = (5, 5)
    discrim = [(w, c, *k), (2 * w, w, *k), 2 * w, 2 * w, (4 * w, 2 * w, *k), 4 * w, 4 * w, (64 * w, 1)]
    gen = [(z, 64 * w), 64 * w, 64 * w, (4 * w, 2 * w, *k), 2 * w, 2 * w, (2 * w, w, *k), w, w, (w, c, *k)]
    return {"discrim": discrim, "gen": gen}


def imagenet_shapes(w, z, c):
    """Parameters in the order of ``imagenet/load_pretrained.py``: 17 and 19 arrays."""
    maps = [(w, c), (w, w), (2 * w, w), (2 * w, 2 * w), (4 * w, 2 * w), (4 * w, 4 * w)]
    discrim = [(*maps[0], 3, 3)]
    for out, inputs in maps[1:]:
        discrim += [(out, inputs, 3, 3), out, out]
    gen = [(z, 64 * w), 64 * w, 64 * w]
    for inputs, out in [(4 * w, 4 * w), (4 * w, 2 * w), (2 * w, 2 * w), (2 * w, w), (w, w)]:
        gen += [(inputs, out, 3, 3), out, out]
    return {"discrim": [*discrim, (64 * w, 1)], "gen": [*gen, (w, c, 3, 3)]}


SHAPES = {"svhn": svhn_shapes, "imagenet": imagenet_shapes}


@pytest.fixture
def write_arrays(tmp_path):
    """Write random arrays in a released network's layout; return the folder and the arrays by stem, in order."""

    def write(layout="svhn", width=2, z=3, channels=3, epoch=7, stems=("discrim", "gen")):
        rng = np.random.default_rng(0)
        folder = tmp_path / layout
        folder.mkdir(exist_ok=True)
        arrays = {}
        for stem in stems:
            shapes = SHAPES[layout](width, z, channels)[stem]
            arrays[stem] = [rng.normal(0.1, 0.5, shape).astype(np.float32) for shape in shapes]
            for number, array in enumerate(arrays[stem], start=1):
                np.save(folder / f"{epoch}_{stem}_params.jl_{number:02d}.npy", array)
        return folder, arrays

    return write


class Example(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.main = nn.Sequential(*layers)

    def forward(self, x):
        return self.main(x)


@pytest.fixture
def example_networks():
    """Build the PyTorch example's generator and discriminator, with statistics of a few batches."""

    def build(ngf=3, ndf=2, nz=5, nc=3):
        def up(a, b, last=False):
            conv = nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False)
            return [conv, nn.Tanh()] if last else [conv, nn.BatchNorm2d(b), nn.ReLU(True)]

        def down(a, b):
            return [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            generator = Example(
                *[nn.ConvTranspose2d(nz, ngf * 8, 4, 1, 0, bias=False), nn.BatchNorm2d(ngf * 8), nn.ReLU(True)],
                *[*up(ngf * 8, ngf * 4), *up(ngf * 4, ngf * 2), *up(ngf * 2, ngf), *up(ngf, nc, last=True)],
            )
            discriminator = Example(
                *[nn.Conv2d(nc, ndf, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)],
                *[*down(ndf, ndf * 2), *down(ndf * 2, ndf * 4), *down(ndf * 4, ndf * 8)],
                *[nn.Conv2d(ndf * 8, 1, 4, 1, 0, bias=False), nn.Sigmoid()],
            )
            for module in (*generator.modules(), *discriminator.modules()):
                if isinstance(module, nn.BatchNorm2d):
                    nn.init.normal_(module.weight, 1, 0.3)
                    nn.init.normal_(module.bias, 0, 0.3)
            with torch.no_grad():
                for _ in range(3):
                    discriminator(generator(torch.randn(4, nz, 1, 1)))
        return generator.eval(), discriminator.eval()

    return build


@pytest.fixture
def request_for(host):
    """Make an import request with the architectures of the core."""

    def make(path, **settings):
        return ImportRequest(Path(path), settings, host.architectures)

    return make


@pytest.fixture(scope="session")
def weights_root():
    """Return the folder of released weights, or skip."""
    beside = Path(__file__).parents[4] / "shared" / "weights"
    root = Path(os.environ.get("DCGAN_ANALYSIS_WEIGHTS") or beside)
    if not root.is_dir():
        pytest.skip(f"released weights not found: {root} (set DCGAN_ANALYSIS_WEIGHTS)")
    return root

"""Foreign files made here, by hand-written lists of shapes and by plain torch modules."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dcgan_analysis.checkpoints.importers.contract import ImportRequest
from dcgan_analysis.runs.library import import_weights


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


def scramble(module, seed=0):
    """Give every parameter and statistic of a module random values that keep activations of order 1."""
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for child in module.modules():
            weight = getattr(child, "weight", None)
            if isinstance(child, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                fan = weight[0].numel() if not isinstance(child, nn.ConvTranspose2d) else weight[:, 0].numel() / 4
                weight.normal_(0, fan**-0.5, generator=source)
            elif weight is not None and weight.dim() >= 1:
                weight.normal_(1, 0.3, generator=source)
            if getattr(child, "bias", None) is not None:
                child.bias.normal_(0, 0.3, generator=source)
            if getattr(child, "running_mean", None) is not None:
                child.running_mean.normal_(0, 0.3, generator=source)
                child.running_var.uniform_(0.5, 2, generator=source)
                child.num_batches_tracked.fill_(7)
    return module.eval()


def example_generator(size=64, nz=5, ngf=3, nc=3, bias=False):
    """The generator of PyTorch's example, or its like for another size."""
    maps, side = ngf * size // 8, 4
    layers = [nn.ConvTranspose2d(nz, maps, 4, 1, 0, bias=bias), nn.BatchNorm2d(maps), nn.ReLU()]
    while side < size // 2:
        layers += [nn.ConvTranspose2d(maps, maps // 2, 4, 2, 1, bias=bias), nn.BatchNorm2d(maps // 2), nn.ReLU()]
        maps, side = maps // 2, side * 2
    return scramble(nn.Sequential(*layers, nn.ConvTranspose2d(maps, nc, 4, 2, 1, bias=bias), nn.Tanh()))


def example_discriminator(size=64, ndf=2, nc=3, bias=False, wrap=lambda layer: layer):
    """The discriminator beside it; ``wrap`` may put a parametrisation on each convolution."""
    layers = [nn.Conv2d(nc, ndf, 4, 2, 1, bias=bias), nn.LeakyReLU(0.2)]
    maps, side = ndf, size // 2
    while side > 4:
        layers += [nn.Conv2d(maps, 2 * maps, 4, 2, 1, bias=bias), nn.BatchNorm2d(2 * maps), nn.LeakyReLU(0.2)]
        maps, side = 2 * maps, side // 2
    layers += [nn.Conv2d(maps, 1, 4, 1, 0, bias=bias), nn.Sigmoid()]
    network = scramble(nn.Sequential(*layers))
    for number, layer in enumerate(network):
        if isinstance(layer, nn.Conv2d):
            network[number] = wrap(layer)
    return network.eval()


def prefixed(state, prefix):
    """Put a prefix before all names of a state dict."""
    return {prefix + name: value for name, value in state.items()}


@pytest.fixture
def read(host):
    """Import files as the command does, without writing: path or paths, then settings."""

    def read(*paths, format=None, **settings):
        return import_weights(*paths, format=format, settings=settings, host=host)

    return read


def randn(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def check_generator(checkpoint, module, reshape=lambda z: z[:, :, None, None]):
    """Compare an imported generator with the network that it was saved from, layer by layer."""
    z = randn(4, checkpoint.architecture.z_size)
    _close(checkpoint.generator(), z, module, reshape(z))


@torch.no_grad()
def check_discriminator(checkpoint, module):
    """Compare an imported discriminator likewise; a sigmoid that ends the other is not applied here."""
    images = randn(4, *checkpoint.architecture.image_shape)
    _close(checkpoint.discriminator(), images, module, images)


def _close(mine, x, theirs, y):
    """Every activation of mine is one of theirs, in their order, and the last ones are the same."""
    rows, others = [], []
    hooks = [child.register_forward_hook(lambda _m, _i, out: rows.append(out)) for child in mine.children()]
    leaves = [child for child in theirs.modules() if not list(child.children())]
    hooks += [child.register_forward_hook(lambda _m, _i, out: others.append(out.clone())) for child in leaves]
    final, wanted = mine(x), theirs(y)
    for hook in hooks:
        hook.remove()
    if isinstance(leaves[-1], nn.Sigmoid) and final.dim() == 1:
        wanted = others[-2]
    scale = float(wanted.abs().max())
    assert scale > 1e-3
    assert float((final.flatten() - wanted.flatten()).abs().max()) < 1e-5 * scale
    at = 0
    for row in rows[:-1]:
        flat = row.flatten(1)
        while at < len(others) and not (
            others[at].flatten(1).shape == flat.shape
            and float((others[at].flatten(1) - flat).abs().max()) <= 1e-5 * float(flat.abs().max())
        ):
            at += 1
        assert at < len(others), "a row's output is none of the other network's activations"


@pytest.fixture
def request_for(host):
    """Make an import request with the architectures of the core."""

    def make(path, **settings):
        return ImportRequest((Path(path),), settings, host.architectures)

    return make


@pytest.fixture(scope="session")
def weights_root():
    """Return the folder of released weights, or skip."""
    beside = Path(__file__).parents[4] / "shared" / "weights"
    root = Path(os.environ.get("DCGAN_ANALYSIS_WEIGHTS") or beside)
    if not root.is_dir():
        pytest.skip(f"released weights not found: {root} (set DCGAN_ANALYSIS_WEIGHTS)")
    return root

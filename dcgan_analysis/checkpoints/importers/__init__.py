"""Readers of weights made elsewhere, each registered through the hook ``dcgan_register_importers``.

None of them executes anything that a file contains. Modules that need torch are imported when they are called.
"""

from __future__ import annotations

from dcgan_analysis.checkpoints.importers.contract import ImportedWeights, ImportRequest, WeightImporter

__all__ = ["ImportRequest", "ImportedWeights", "WeightImporter"]


def builtin_importers() -> list[WeightImporter]:
    """Return the importers that come with the framework; needs no torch."""
    return [
        WeightImporter("theano", "folder of .npy arrays saved by the authors' code: SVHN and ImageNet", _theano),
        WeightImporter("pytorch", "netG and netD .pth state dicts of PyTorch's 64x64 DCGAN example", _pytorch),
        WeightImporter("safetensors", "this framework's parameter names; --set architecture=NAME", _safetensors),
    ]


def _theano(request: ImportRequest) -> ImportedWeights:
    from dcgan_analysis.checkpoints.importers.theano import load

    return load(request)


def _pytorch(request: ImportRequest) -> ImportedWeights:
    from dcgan_analysis.checkpoints.importers.pytorch import load

    return load(request)


def _safetensors(request: ImportRequest) -> ImportedWeights:
    from dcgan_analysis.checkpoints.importers.safetensors import load

    return load(request)

"""Readers of weights made elsewhere, each registered through the hook ``dcgan_register_importers``.

None of them executes anything that a file contains. Modules that need torch are imported when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dcgan_analysis.checkpoints.importers.contract import ImportedWeights, ImportRequest, WeightImporter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ImportRequest", "ImportedWeights", "WeightImporter"]


def builtin_importers() -> list[WeightImporter]:
    """Return the importers that come with the framework; needs no torch."""
    return [
        WeightImporter("theano", "folder of .npy arrays saved by the authors' code: SVHN and ImageNet", _theano),
        WeightImporter(
            "pytorch", "state dicts, whole modules and Lightning files: .pth, .pt, .ckpt, .bin", _reader("pytorch")
        ),
        WeightImporter("keras", "models and weights of Keras: .h5 and .keras", _reader("keras")),
        WeightImporter("safetensors", "arrays named as PyTorch or this framework names them", _safetensors),
        WeightImporter("numpy", "named arrays: .npz, or a folder of .npy files", _reader("numpy")),
    ]


def _theano(request: ImportRequest) -> ImportedWeights:
    from dcgan_analysis.checkpoints.importers.theano import load

    return load(request)


def _safetensors(request: ImportRequest) -> ImportedWeights:
    # With the name of an architecture, the arrays are called as that architecture calls them.
    if "architecture" not in request.settings:
        return _reader("safetensors")(request)
    from dcgan_analysis.checkpoints.importers.safetensors import load

    return load(request)


def _reader(kind: str) -> Callable[[ImportRequest], ImportedWeights]:
    def read(request: ImportRequest) -> ImportedWeights:
        from dcgan_analysis.checkpoints.importers.read import load

        return load(request, kind)

    return read

"""dcgan-analysis: evaluate and understand pretrained DCGANs.

    >>> import dcgan_analysis as da
    >>> checkpoint = da.load_checkpoint("cifar10-dcgan32")  # doctest: +SKIP
    >>> features = checkpoint.features(images)  # doctest: +SKIP
    >>> result = da.run("svm-cifar", dataset="digits", checkpoint=checkpoint)  # doctest: +SKIP

Names are imported when they are first used, so that ``import dcgan_analysis`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.batch import run_several as run_several
    from dcgan_analysis.data.registry import load_dataset as load_dataset
    from dcgan_analysis.hookspecs import API_VERSION as API_VERSION
    from dcgan_analysis.hookspecs import hookimpl as hookimpl
    from dcgan_analysis.library import load_checkpoint as load_checkpoint
    from dcgan_analysis.linear import L2SVM as L2SVM
    from dcgan_analysis.runner import run_analysis as run
    from dcgan_analysis.stores.features import FeatureStore as FeatureStore

# Public name -> (module, name there).
_PUBLIC = {
    "API_VERSION": ("dcgan_analysis.hookspecs", "API_VERSION"),
    "FeatureStore": ("dcgan_analysis.stores.features", "FeatureStore"),
    "L2SVM": ("dcgan_analysis.linear", "L2SVM"),
    "hookimpl": ("dcgan_analysis.hookspecs", "hookimpl"),
    "load_checkpoint": ("dcgan_analysis.library", "load_checkpoint"),
    "load_dataset": ("dcgan_analysis.data.registry", "load_dataset"),
    "run": ("dcgan_analysis.runner", "run_analysis"),
    "run_several": ("dcgan_analysis.batch", "run_several"),
}

__all__ = [
    "API_VERSION",
    "L2SVM",
    "FeatureStore",
    "__version__",
    "hookimpl",
    "load_checkpoint",
    "load_dataset",
    "run",
    "run_several",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("dcgan-analysis")
    if name in _PUBLIC:
        module, attribute = _PUBLIC[name]
        value = getattr(importlib.import_module(module), attribute)
        globals()[name] = value
        return value
    msg = f"module 'dcgan_analysis' has no attribute '{name}'"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__

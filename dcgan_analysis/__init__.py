"""dcgan-analysis: evaluate and understand pretrained DCGANs.

    >>> import dcgan_analysis as da
    >>> checkpoint, digits = da.load_checkpoint("digits-dcgan32"), da.load_dataset("digits")
    >>> checkpoint.features(digits.some("test", 8).images).shape
    torch.Size([8, 2688])
    >>> settings = {"draws": 1, "ablation": False}
    >>> result = da.run("svm-cifar", dataset=digits, checkpoint=checkpoint, limit=60, settings=settings)
    >>> 0.5 < result.metrics["accuracy"].value < 1
    True

Names are imported when they are first used, so that ``import dcgan_analysis`` costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

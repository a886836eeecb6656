"""dcgan-analysis: evaluate and understand pretrained DCGANs.

    >>> import dcgan_analysis as da
    >>> checkpoint = da.load_checkpoint("cifar10-dcgan32")  # doctest: +SKIP
    >>> features = checkpoint.features(images)  # doctest: +SKIP
    >>> result = da.run("svm-cifar", dataset="digits", checkpoint=checkpoint)  # doctest: +SKIP

Names are imported when they are first used, so that ``import dcgan_analysis`` costs nothing.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

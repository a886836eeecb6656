"""Where data, cache and checkpoints lie, by environment variable or by the platform's custom."""

from __future__ import annotations

import os
from pathlib import Path

from dcgan_analysis.errors import ConfigError

_DATA_VARIABLE = "DCGAN_ANALYSIS_DATA"
_CACHE_VARIABLE = "DCGAN_ANALYSIS_CACHE"


def expanded(path: str | Path) -> Path:
    """Return a path with the home folder in the place of ``~``.

    Raises:
        ConfigError: If it begins with ``~name`` and the system knows no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        msg = f"'{path}' begins with the home folder of a user whom this system does not know. Give the folder itself."
        raise ConfigError(msg) from None


def data_folder(data_root: str | Path | None = None) -> Path:
    """Return the data root: the argument, else ``DCGAN_ANALYSIS_DATA``, else the user's folder.

    It need not exist: not every dataset needs files, and a download creates it.
    """
    named = data_root or os.environ.get(_DATA_VARIABLE)
    if not named:
        import platformdirs

        return platformdirs.user_data_path("dcgan-analysis") / "data"
    return expanded(named)


def cache_folder() -> Path:
    """Return the cache folder: ``DCGAN_ANALYSIS_CACHE``, or the platform's own place for caches."""
    named = os.environ.get(_CACHE_VARIABLE)
    if not named:
        import platformdirs

        return platformdirs.user_cache_path("dcgan-analysis")
    return expanded(named)

"""Outcomes of long computations, kept in the cache by the content of everything that decided them.

``<cache>/<kind>/<first 16 digits of the key's SHA-256>.safetensors``: arrays by name, and the whole key in the header.
A dictionary of patches is such an outcome, and a finished trial of a search: what is there is not computed again.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dcgan_analysis.core.checksums import damaged_text
from dcgan_analysis.core.documents import parse_json
from dcgan_analysis.core.folders import cache_folder
from dcgan_analysis.core.hashing import hash_json
from dcgan_analysis.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

__all__ = ["find_outcome", "keep_outcome", "outcome_path"]

_log = logging.getLogger(__name__)
_HEADER = "dcgan_analysis_key"


def outcome_path(kind: str, key: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Return where an outcome stands, or would stand.

    Args:
        kind: What it is, in the plural; a folder of the cache: ``"trials"``.
        key: Everything that decides it, as JSON values.
        folder: The cache folder; None: the default cache.
    """
    return (cache_folder() if folder is None else folder) / kind / f"{hash_json(dict(key))[:16]}.safetensors"


def find_outcome(kind: str, key: Mapping[str, Any], folder: Path | None = None) -> dict[str, np.ndarray] | None:
    """Return the arrays of an outcome; None if it is not there, or its file is damaged or of another key."""
    from safetensors import SafetensorError, safe_open

    from dcgan_analysis.core.tensor_files import undamaged_tensors

    path = outcome_path(kind, key, folder)
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
        arrays: dict[str, np.ndarray] = undamaged_tensors(path, "numpy")
        if damaged_text(header):
            problem = "it is damaged, its key is not as it was written"
        elif hash_json(parse_json(header.get(_HEADER, "null"))) == hash_json(dict(key)):
            # Used now, for the cache's garbage collection; a cache that others share may be read-only.
            with suppress(OSError):
                os.utime(path)
            return arrays
        else:
            problem = "it is of another key"
    except (SafetensorError, OSError, ValueError) as error:
        problem = str(error)
    _log.warning("%s is left out of account and computed anew: %s", path, problem)
    return None


def keep_outcome(
    kind: str, key: Mapping[str, Any], arrays: Mapping[str, np.ndarray], folder: Path | None = None
) -> Path:
    """Keep the arrays of an outcome, whole or not at all.

    Raises:
        StoreError: If the file cannot be written.

    Example:
        >>> import numpy as np, pathlib, tempfile
        >>> cache = pathlib.Path(tempfile.mkdtemp())
        >>> path = keep_outcome("sums", {"of": [1, 2]}, {"sum": np.array([3])}, cache)
        >>> find_outcome("sums", {"of": [1, 2]}, cache)["sum"].tolist(), find_outcome("sums", {"of": [2]}, cache)
        ([3], None)
    """
    import numpy as np

    from dcgan_analysis.core.tensor_files import write_tensors

    path = outcome_path(kind, key, folder)
    header = {_HEADER: json.dumps(dict(key), sort_keys=True)}
    try:
        write_tensors(path, {name: np.ascontiguousarray(array) for name, array in arrays.items()}, header)
    except OSError as error:
        msg = f"'{path}' cannot be written: {error}. Free some space, or set DCGAN_ANALYSIS_CACHE to another folder."
        raise StoreError(msg) from error
    return path

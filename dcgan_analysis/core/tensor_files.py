"""Files of tensors (safetensors): written whole or not at all, with checksums of everything in their header."""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError

from dcgan_analysis.core.checksums import sealed
from dcgan_analysis.core.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_SYSTEM_ERROR = re.compile(r"os error (\d+)")


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray | Tensor], texts: Mapping[str, str]) -> None:
    """Write tensors, and texts into the header, as one safetensors file.

    Args:
        path: The file; one that stands there is replaced when the new one is whole.
        tensors: By name, all of NumPy or all of torch, contiguous.
        texts: By name.

    Raises:
        OSError: If it cannot be written; safetensors itself reports a full disk as an error of the format.
    """
    # Only what is asked for: torch takes long to import.
    of_numpy = all(isinstance(tensor, np.ndarray) for tensor in tensors.values())
    file_format = import_module("safetensors.numpy" if of_numpy else "safetensors.torch")
    try:
        with atomic_path(path) as temporary:
            file_format.save_file(dict(tensors), temporary, metadata=sealed(tensors, texts))
    except SafetensorError as error:
        code = _SYSTEM_ERROR.search(str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None

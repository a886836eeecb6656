"""Checkpoints of the Hugging Face hub, by huggingface_hub where it is installed: files in safetensors alone."""

from __future__ import annotations

import re
from pathlib import Path

from dcgan_analysis.errors import CheckpointError

PREFIX = "hf:"
_ADDRESS = re.compile(rf"{PREFIX}([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


def download(address: str, file: str) -> tuple[Path, str]:
    """Fetch a file of a repository, unless huggingface_hub's cache holds it.

    Args:
        address: ``hf:USER/NAME``, or ``hf:USER/NAME@REVISION``: a branch, a tag or a commit.
        file: Name in the repository.

    Returns:
        The file, and the address with the commit that it is of.

    Raises:
        CheckpointError: If the address names no repository, huggingface_hub is not installed, or there is no such file.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        msg = f"'{address}' names no repository of the Hugging Face hub. Write hf:USER/NAME or hf:USER/NAME@REVISION."
        raise CheckpointError(msg)
    repository, revision = match.groups()
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        msg = (
            f"Checkpoint '{address}' needs huggingface_hub, which is not installed: pip install 'dcgan-analysis[hub]'. "
            f"Or download {file} by hand and give its path."
        )
        raise CheckpointError(msg) from None
    try:
        path = Path(hf_hub_download(repository, file, revision=revision))
    except LocalEntryNotFoundError:
        msg = (
            f"Checkpoint '{address}' is not in the cache, and the Hugging Face hub cannot be reached. Try again with a "
            f"network, or give the path of a downloaded {file}."
        )
        raise CheckpointError(msg) from None
    except EntryNotFoundError:
        msg = (
            f"Checkpoint '{address}': the repository holds no {file}; weights in other forms are not fetched. Download "
            "them and import: dcgan-analyze import, or dcgan_analysis.import_weights."
        )
        raise CheckpointError(msg) from None
    except (HfHubHTTPError, OSError, ValueError) as error:
        msg = f"Checkpoint '{address}' cannot be fetched: {' '.join(str(error).split())}"
        raise CheckpointError(msg) from None
    # The cache keeps each commit in a folder of its name: snapshots/COMMIT/FILE.
    return path, f"{PREFIX}{repository}@{path.parent.name}"

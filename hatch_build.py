"""Puts the shipped networks into the wheel, less what no analysis asks of them: package indexes refuse large files."""

from __future__ import annotations

import json
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_INSTALLED = "dcgan_analysis/_checkpoints"
_CHECKSUMS = "checksums"  # of each tensor, in the header: dcgan_analysis.core.checksums


class ShippedNetworks(BuildHookInterface[BuilderConfig]):
    """Adds ``checkpoints/`` to a wheel: model cards, boxes, judges, and each network but for what is ``left-out``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files of a wheel; an editable install reads the clone's."""
        if version == "editable":
            return
        source = Path(self.root) / "checkpoints"
        checksums = json.loads((source / "checksums.json").read_text(encoding="utf-8"))
        self._written = tempfile.TemporaryDirectory()
        for path in sorted(source.glob("*/*")):
            if path.name == "samples.png":  # cards show it, programs do not
                continue
            place = path.relative_to(source)
            role = self.config["left-out"].get(path.parent.name)
            if path.name == "model.safetensors" and role is not None:
                lean = without(path.read_bytes(), role)
                checksums[path.parent.name] = f"{zlib.crc32(lean):08x}"
                path = Path(self._written.name) / f"{path.parent.name}.safetensors"
                path.write_bytes(lean)
            build_data["force_include"][str(path)] = f"{_INSTALLED}/{place.as_posix()}"
        listed = Path(self._written.name) / "checksums.json"
        listed.write_text(json.dumps(checksums, indent=1) + "\n", encoding="utf-8")
        build_data["force_include"][str(listed)] = f"{_INSTALLED}/checksums.json"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was written for the wheel, which is built."""
        if version != "editable":
            self._written.cleanup()


def without(checkpoint: bytes, role: str) -> bytes:
    """Return a checkpoint's file without one network, ``"generator"`` or ``"discriminator"``.

    Safetensors is a length, a JSON header and the tensors' bytes (https://huggingface.co/docs/safetensors), so that
    nothing has to be installed for the build.
    """
    start = 8 + int.from_bytes(checkpoint[:8], "little")
    whole = json.loads(checkpoint[8:start])
    texts = whole.pop("__metadata__")
    if _CHECKSUMS in texts:
        texts[_CHECKSUMS] = json.dumps(_kept(json.loads(texts[_CHECKSUMS]), role))
    header, parts, length = {"__metadata__": texts}, [], 0
    for name, entry in _kept(whole, role).items():
        first, end = entry["data_offsets"]
        parts.append(checkpoint[start + first : start + end])
        header[name] = entry | {"data_offsets": [length, length + end - first]}
        length += end - first
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def _kept(by_tensor: dict[str, Any], role: str) -> dict[str, Any]:
    return {name: value for name, value in by_tensor.items() if not name.startswith(f"{role}.")}

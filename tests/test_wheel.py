"""The build hook that puts the shipped networks into the wheel."""

from __future__ import annotations

import importlib.util
import json
import tomllib
import zlib
from pathlib import Path

import pytest
import torch

from dcgan_analysis.runs.library import load_checkpoint

ROOT = Path(__file__).parents[1]
_INSTALLED = "dcgan_analysis/_checkpoints"


@pytest.fixture(scope="module")
def hatch_build():
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("role", "kept"), [("generator", "discriminator"), ("discriminator", "generator")])
def test_a_network_is_left_out_and_the_other_stays_to_the_bit(hatch_build, tiny_checkpoint, tmp_path, role, kept):
    tiny_checkpoint.save(tmp_path / "whole.safetensors")
    lean = tmp_path / "lean.safetensors"
    lean.write_bytes(hatch_build.without((tmp_path / "whole.safetensors").read_bytes(), role))
    loaded = load_checkpoint(lean)
    assert (loaded.has(role), loaded.has(kept)) == (False, True)
    assert loaded.sha256(kept) == tiny_checkpoint.sha256(kept)
    for name, tensor in tiny_checkpoint.weights[kept].items():
        assert torch.equal(loaded.weights[kept][name], tensor)


def test_the_wheel_holds_every_shipped_network_less_those_named_with_true_checksums(hatch_build, tmp_path):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    config = settings["targets"]["wheel"]["hooks"]["custom"]
    hook = hatch_build.ShippedNetworks(str(ROOT), config, None, None, str(tmp_path), "wheel")
    named = {"force_include": {}}
    hook.initialize("standard", named)
    files = {place: Path(path) for path, place in named["force_include"].items()}
    checksums = json.loads(files[f"{_INSTALLED}/checksums.json"].read_text(encoding="utf-8"))
    shipped = {path.name for path in (ROOT / "checkpoints").iterdir() if path.is_dir()}
    assert set(checksums) == shipped
    for name in shipped:
        content = files[f"{_INSTALLED}/{name}/model.safetensors"].read_bytes()
        assert f"{zlib.crc32(content):08x}" == checksums[name]
        left_out = config["left-out"].get(name)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        assert not any(key.startswith(f"{left_out}.") for key in header)
    # Weights in half precision shrink by 7 to 8 % in the archive; the mark is 80 MB, of which 7 are code and photos.
    assert 0.93 * sum(path.stat().st_size for path in files.values()) < 73e6
    assert not any(place.endswith("samples.png") for place in files)
    hook.finalize("standard", named, "")
    assert not all(path.exists() for path in files.values())


def test_an_editable_install_takes_the_networks_from_the_clone(hatch_build, tmp_path):
    named = {"force_include": {}}
    hatch_build.ShippedNetworks(str(ROOT), {"left-out": {}}, None, None, str(tmp_path), "wheel").initialize(
        "editable", named
    )
    assert named["force_include"] == {}

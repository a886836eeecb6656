from __future__ import annotations

import pytest
import torch

from dcgan_analysis.core.device import choose_device, choose_precision
from dcgan_analysis.errors import ConfigError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_precision_asked_for_is_taken(name):
    assert choose_precision(name, CPU) == getattr(torch, name)


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_a_cpu_computes_in_bfloat16_where_it_has_the_instructions(monkeypatch, capabilities, dtype):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)

    assert choose_precision("auto", CPU) == dtype


def test_a_cpu_computes_in_float32_where_torch_cannot_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)

    assert choose_precision("auto", CPU) == torch.float32


def test_a_gpu_computes_in_float16():
    assert choose_precision("auto", GPU) == torch.float16


@pytest.mark.parametrize(("available", "kind"), [(True, "cuda"), (False, "cpu")])
def test_the_automatic_device_is_a_gpu_where_there_is_one(monkeypatch, available, kind):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)

    assert choose_device("auto").type == kind
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_an_absent_gpu_is_an_error(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(
        ConfigError, match=rf"^Device '{name}' is not available: torch sees no GPU\. Use the device cpu"
    ):
        choose_device(name)


def test_an_unknown_device_is_an_error():
    with pytest.raises(ConfigError, match=r"^Device 'gpu' is unknown\. Use auto, cpu, cuda, or .*\.$"):
        choose_device("gpu")

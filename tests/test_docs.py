"""What README and docs/ say is run here, so that it stays true."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import shlex
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

import dcgan_analysis as da
from dcgan_analysis.cli.main import cli
from dcgan_analysis.host.host import load_plugins
from dcgan_analysis.models.architecture import Layer, LayerKind

# Analyses that the pages make up, or that come with the example package.
EXAMPLES = {"brightness", "hello", "my-probe"}
pytestmark = pytest.mark.usefixtures("unrendered")

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "checkpoints").glob("*/README.md")),
]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands():
    for page in PAGES:
        for line in page.read_text(encoding="utf-8").splitlines():
            for part in re.findall(r"(?:^|&& |`)\s*(dcgan-analyze [^`|#]+)", line):
                yield pytest.param(part.strip(), id=f"{page.name}: {part.strip()[:60]}")


@pytest.mark.parametrize("command", list(commands()))
def test_every_command_in_the_documentation_is_understood(command):
    words = shlex.split(command.replace("...", "").replace("…", ""))[1:]
    group, context = cli, None
    while words and hasattr(group, "get_command"):
        name = words.pop(0)
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or name in EXAMPLES:
            return  # a placeholder such as NAME, an option of the group, or an example
        known = group.get_command(context, name)
        if known is None:
            pytest.fail(f"'{command}': there is no '{name}'")
        group = known
    options = {option for parameter in group.params for option in parameter.opts} | {"--help", "--version"}
    unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in options]
    assert not unknown, f"'{command}': no option {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if not t.startswith("http") and not (page.parent / t).exists()]
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "getting-started.md"], ids=lambda p: p.name)
def test_the_library_example_runs(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "cache"))
    # Smaller, but the same call.
    settings = {"draws": 1, "ablation": False, "C": (1e-3,), "protocol": "paper"}
    monkeypatch.setattr(da, "run", partial(da.run, limit=60, settings=settings), raising=False)
    example = next(block for block in blocks(page, "python") if "import dcgan_analysis as da" in block)
    names = {}
    exec(compile(example, page.name, "exec"), names)
    assert names["features"].shape[1] == 14336
    assert names["result"].smoke


def test_the_page_on_layer_tables_builds_networks_and_names_every_field(capsys):
    page = ROOT / "docs" / "layer-tables.md"
    (example,) = blocks(page, "python")
    exec(example, {})
    assert capsys.readouterr().out == "torch.Size([2, 3, 16, 16])\n"
    text = page.read_text(encoding="utf-8")
    fields = {each.name for each in dataclasses.fields(Layer)} - {"batchnorm"}
    assert not {name for name in fields | set(get_args(LayerKind)) if f"`{name}`" not in text}


def test_the_ten_line_plugin_of_the_readme_runs_as_a_file(run_cli, tmp_path):
    source = next(block for block in blocks(ROOT / "README.md", "python") if "class Brightness" in block)
    assert len([line for line in source.splitlines() if line.strip()]) <= 14
    (tmp_path / "brightness.py").write_text(source, encoding="utf-8")
    words = ["--plugin", str(tmp_path / "brightness.py"), "run", "brightness", "--json", "--out", str(tmp_path / "run")]
    document = json.loads(run_cli(*words).assert_success().out)
    assert 0 < document["metrics"]["mean"]["value"] < 1


def test_the_page_on_own_dcgans_wraps_and_registers(monkeypatch, tmp_path):
    from torch import nn

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "cache"))
    wrapped, registered = blocks(ROOT / "docs" / "your-own-dcgan.md", "python")
    assert all(len([line for line in block.splitlines() if line.strip()]) <= 5 for block in (wrapped, registered))
    d = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(512, 1))
    names = {"G": nn.Sequential(nn.Linear(8, 3072), nn.Tanh(), nn.Unflatten(1, (3, 32, 32))), "D": d}
    monkeypatch.setattr(
        da, "run", partial(da.run, limit=40, settings={"measured": 6, "top": 2, "noise_draws": 1}), raising=False
    )
    exec(wrapped, names)
    assert names["features"].shape == (500, 8 * 16)
    assert (names["result"].folder / "report.html").is_file()
    code = "from torch import nn\n\n\nclass G(nn.Module):\n    def __init__(self, nz):\n        super().__init__()\n"
    code += "        self.up = nn.ConvTranspose2d(nz, 3, 64)\n\n    def forward(self, z):\n"
    code += "        return self.up(z).tanh()\n"
    code += "\n\nclass D(nn.Conv2d):\n    def __init__(self):\n        super().__init__(3, 1, 64)\n"
    (tmp_path / "my_networks.py").write_text(code, encoding="utf-8")
    (tmp_path / "my_net.py").write_text(registered, encoding="utf-8")
    architecture = load_plugins("", files=[tmp_path / "my_net.py"]).architectures["mine"].create()
    assert (architecture.z_size, architecture.image_shape) == (100, (3, 64, 64))


def own_files(folder):
    """Write weights as other people's programs do: state dicts of PyTorch, a generator of Keras."""
    import h5py
    import numpy as np
    import torch
    from torch import nn

    torch.manual_seed(0)
    up = [nn.ConvTranspose2d(9, 8, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 6, 4, 2, 1)]
    up += [nn.BatchNorm2d(6), nn.ReLU(), nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.ReLU()]
    down = [nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 6, 4, 2, 1), nn.BatchNorm2d(6), nn.LeakyReLU(0.2)]
    down += [nn.Conv2d(6, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4, bias=False)]
    generator = nn.Sequential(*up, nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.Tanh())
    for parameter in generator.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, 0, 0.3)
    torch.save(generator.state_dict(), folder / "netG.pth")
    torch.save(nn.Sequential(*down).state_dict(), folder / "netD.pth")
    dense = {"units": 4 * 4 * 6, "activation": "relu", "batch_input_shape": [None, 9]}
    deconv = {"kernel_size": [4, 4], "strides": [2, 2], "padding": "same"}
    layers = [
        ("Dense", {"name": "dense", **dense}),
        ("Reshape", {"name": "maps", "target_shape": [4, 4, 6]}),
        ("Conv2DTranspose", {"name": "up1", "filters": 5, "activation": "relu", **deconv}),
        ("Conv2DTranspose", {"name": "up2", "filters": 3, "activation": "tanh", **deconv}),
    ]
    config = {"name": "generator", "layers": [{"class_name": kind, "config": given} for kind, given in layers]}
    shapes = {"dense": (9, 96), "up1": (4, 4, 5, 6), "up2": (4, 4, 3, 5)}
    with h5py.File(folder / "generator.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        for layer, shape in shapes.items():
            own = file.create_group(f"model_weights/{layer}")
            own.attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()])
            own[f"{layer}/kernel:0"] = np.random.default_rng(1).normal(0, 0.4, shape).astype(np.float32)
            own[f"{layer}/bias:0"] = np.zeros(shape[1 if layer == "dense" else 2], np.float32)


# The same command, with fewer samples.
QUICK = [word for setting in ("walks=1", "points=3", "steps=4", "bank=16") for word in ("--set", setting)]


def test_files_of_weights_become_reports_as_the_page_on_own_dcgans_says(run_cli, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    own_files(tmp_path)
    pytorch, keras, _ = blocks(ROOT / "docs" / "your-own-dcgan.md", "console")
    for block in (pytorch, keras):
        lines = [line.removeprefix("$ dcgan-analyze ") for line in block.splitlines()]
        assert len(lines) <= 5
        for words in map(shlex.split, lines):
            run_cli(*words, *(QUICK if words[0] == "run" else [])).assert_success()
            if words[0] == "run":
                assert (tmp_path / words[words.index("--out") + 1] / "report.html").is_file()


def test_measured_numbers_in_the_pages_are_those_of_their_result_documents(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    measured = importlib.import_module("measured")
    stale = [page.name for page in measured.PAGES if measured.filled(page) != page.read_text(encoding="utf-8")]
    assert not stale, f"write the numbers again: python docs/measured.py ({', '.join(stale)})"


def test_every_headline_stands_with_its_controls(monkeypatch):
    """In the README too, where lines are short: what the controls of a judged analysis are worth."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    places = re.findall(r"<!-- measured ([\w-]+): ([\w, ]+) -->", readme)
    assert places
    needed = {
        "activation-maximization": "twin_activation_ratio",
        "directions": "random_effect_meant",
        "dissect": "generator_iou_shuffled",
        "fidelity": "real_precision",
        "filter-dropout": "object_removed_random",
        "guided-backprop": "twin_concentration",
        "invert": "twin_training_closer",
        "latent-arithmetic": "pixel_success",
        "latent-walk": "memorising_sharp_steps",
        "max-activations": "twin_purity",
        "memorisation": "power",
        "mnist-nn": "real_error",
        "svm-cifar": "twin_{first}",
        "svm-svhn": "twin_{first}",
        "turn-vector": "random_monotonicity",
        "stability": "told_from_held_out",
        "guidelines": "control_differs",
    }
    # Real images are the control itself.
    for name, metrics in ((name, metrics.split(", ")) for name, metrics in places if name != "mnist-nn-real"):
        control = next(control for analysis, control in needed.items() if name.startswith(analysis))
        assert control.format(first=metrics[0]) in metrics


def test_every_page_has_a_place_in_the_navigation_of_the_site():
    listed = re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages == set(listed)


def test_every_analysis_answers_one_question_on_the_page_of_questions():
    page = (ROOT / "docs" / "which-analysis.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| ")
    ]
    rows = [row for row in rows if len(row) == 5 and row[0] != "question"]
    names = [re.match(r"\[([\w-]+)\]", row[1])[1] for row in rows]
    assert sorted(names) == sorted(load_plugins("").analyses)
    for name, (question, _, command, number, control) in zip(names, rows, strict=True):
        assert question.endswith("?")
        assert command == f"`dcgan-analyze run {name}`"
        assert number
        assert control

"""The recipes of docs/cookbook, run from top to bottom as they stand."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dcgan_analysis as da

COOKBOOK = Path(__file__).parent.parent / "docs" / "cookbook"
PAGES = sorted(page for page in COOKBOOK.glob("*.md") if page.name != "README.md")
NOTEBOOKS = sorted(COOKBOOK.glob("*.ipynb"))
OPTIONAL = ("pandas", "anndata")


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def cells(notebook):
    document = json.loads(notebook.read_text(encoding="utf-8"))
    assert document["nbformat"] == 4
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


@pytest.fixture(params=["tiny", pytest.param("shipped", marks=pytest.mark.slow)])
def network(request, tiny_checkpoint, monkeypatch):
    """The network of the recipes: a tiny one of the same architecture, or the shipped one itself."""
    if request.param == "tiny":
        monkeypatch.setattr(da, "load_checkpoint", lambda name: tiny_checkpoint, raising=False)


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch, unrendered):
    """Work in an empty folder with a few photos and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (5, 48, 40, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")


def run(sources, name):
    """Run pieces of code one after the other in one namespace; return it."""
    names = {}
    for number, source in enumerate(sources):
        missing = [package for package in OPTIONAL if f"import {package}" in source and not installed(package)]
        if missing:
            pytest.skip(f"{name} goes on with {missing[0]}, which is not installed")
        exec(compile(source, f"{name}, block {number + 1}", "exec"), names)
    return names


def installed(package):
    return importlib.util.find_spec(package) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_recipe_runs(page, network):
    names = run(blocks(page), page.name)
    # Ten classes: chance is 0.1.
    assert max(names.get("accuracy", {"none measured": 1}).values()) > 0.5


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_runs_cell_by_cell(notebook, network):
    names = run(cells(notebook), notebook.name)
    assert set(names["accuracy"]) == {"learned", "random"}
    assert names["place"].shape == (60, 2)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_is_kept_without_outputs(notebook):
    document = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in document["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_the_table_of_contents_names_every_recipe():
    contents = (COOKBOOK / "README.md").read_text(encoding="utf-8")
    assert {page.name for page in [*PAGES, *NOTEBOOKS]} == set(re.findall(r"\]\(([\w-]+\.(?:md|ipynb))\)", contents))

"""The tutorial is run as it stands, with fewer photos and steps."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import dcgan_analysis as da
from dcgan_analysis.data import Dataset

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"
BLOCKS = re.findall(r"^```(python|console)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
# The same commands, with less to do.
LESS = {
    "train": ["--set", "epochs=1", "--set", "batch_size=16", "--set", "parameters.width=4", "--set", "save_minutes=0"],
    "run": ["--set", "C=[0.001]", "--set", "labels_per_class=2", "--set", "draws=2"],
}


@pytest.fixture
def few_photos(monkeypatch):
    """Six photos of each class in either split."""
    whole = da.load_dataset("cifar10-mini")
    splits = {name: whole.split(name).take(first_of_each(whole.split(name).labels, 6)) for name in ("train", "test")}
    monkeypatch.setattr(da, "load_dataset", lambda name: Dataset.from_splits(name, splits), raising=False)


def first_of_each(labels, n):
    return sorted(row for label in set(labels) for row in (labels == label).nonzero()[0][:n])


def test_the_tutorial_leads_from_a_folder_of_images_to_a_table_and_a_figure(
    few_photos, run_cli, unrendered, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "cache"))
    names, printed = {}, {}
    for language, block in BLOCKS:
        if language == "python":
            exec(compile(block, PAGE.name, "exec"), names)
            continue
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ dcgan-analyze "))
            printed[words[0]] = run_cli(*words, *LESS.get(words[0], [])).assert_success().out
    assert len(list((tmp_path / "photos").rglob("*.png"))) == 120
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()
    assert "On the same test images" in (tmp_path / "features-and-pixels.html").read_text(encoding="utf-8")
    assert "no difference found" in printed["compare"] or "is better" in printed["compare"]
    assert r"\begin{tabular}" in printed["export"]
    assert (tmp_path / "features.pdf").is_file()
    assert set(names["bars"]) == {"learned", "random weights", "pixels"}

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.latent_arithmetic import LatentArithmetic

from dcgan_analysis.api.exemplars import read_exemplars
from dcgan_analysis.errors import AnalysisError, UnknownNameError
from dcgan_analysis.models.arithmetic import combine, combine_pixels, with_neighbours
from dcgan_analysis.testing import check_analysis

SHORT = {
    "samples": 48,
    "triples": 4,
    "classifier_steps": 2,
    "margin": 0.0,
    "moved": "slant",
    "contrast": ["brightness"],
}


def test_latent_arithmetic_keeps_the_contract(dcgan_context, unrendered):
    result = check_analysis(LatentArithmetic(), dcgan_context, SHORT)
    metrics = result.metrics
    assert metrics["averaging_gain"].value == pytest.approx(
        metrics["success"].value - metrics["one_exemplar_success"].value
    )
    assert metrics["chance"].n == 48


def test_subtracting_what_is_added_leaves_a():
    a, b = torch.randn(3, 5), torch.randn(3, 5)
    torch.testing.assert_close(combine(a, b, b), a.mean(0))
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4), dtype=np.uint8)
    np.testing.assert_array_equal(combine_pixels(images[:1], images[1:], images[1:]), images[0])


def test_sums_of_pixels_are_cut_to_bytes():
    full, none = np.full((1, 1, 1, 1), 255, np.uint8), np.zeros((1, 1, 1, 1), np.uint8)
    assert combine_pixels(full, none, full).item() == 255
    assert combine_pixels(none, full, none).item() == 0


def test_the_centre_stands_among_neighbours_within_the_noise():
    around = with_neighbours(torch.zeros(50), 0.25, np.random.default_rng(0))
    assert around.shape == (9, 50)
    assert around[4].abs().max() == 0
    others = around[[0, 1, 2, 3, 5, 6, 7, 8]].abs()
    assert 0.2 < others.max() <= 0.25


def test_the_exemplars_of_a_run_repeat_its_figure(run, network, make_images, tmp_path, monkeypatch):
    drawn = []

    def keep(images, *arguments, **options):
        drawn.append(images)
        return original(images, *arguments, **options)

    from dcgan_analysis.figures import grid

    original = grid.image_grid
    monkeypatch.setattr(grid, "image_grid", keep)
    first = run(LatentArithmetic(), make_images(), **SHORT)
    second = run(LatentArithmetic(), make_images(), exemplars=str(first.folder / "exemplars.json"), **SHORT)
    assert len(drawn) == 4
    for before, after in zip(drawn[:2], drawn[2:], strict=True):
        np.testing.assert_array_equal(before, after)
    assert "shows the exemplars of 'exemplars.json'" in second.notes[0]
    assert read_exemplars(first.folder / "exemplars.json").checkpoint_sha256 == network.sha256()


def test_exemplars_without_an_expression_are_refused_before_anything_long(run, make_images, tmp_path):
    path = tmp_path / "e.json"
    path.write_text(json.dumps({"format": "dcgan-analysis exemplars", "concepts": {"a": [1]}}))
    with pytest.raises(AnalysisError, match="have no expression"):
        run(LatentArithmetic(), make_images(), exemplars=str(path), **SHORT)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"margin": 50.0},
            AnalysisError,
            r"Only 0 of 48 samples of 'tiny' clearly show 'slant, not brightness', 3 are",
        ),
        ({"moved": "slent"}, UnknownNameError, "Unknown attribute 'slent'. Did you mean 'slant'"),
        ({"contrast": []}, AnalysisError, "told apart by one or two others, got slant and nothing"),
    ],
)
def test_what_cannot_be_asked_is_said(run, make_images, change, error, message):
    with pytest.raises(error, match=message):
        run(LatentArithmetic(), make_images(), **{**SHORT, **change})

from __future__ import annotations

import json

import numpy as np
import pytest
from dcgan_analysis_plugins.latent_arithmetic.analysis import LatentArithmetic

from dcgan_analysis import figures
from dcgan_analysis.annotations import read_exemplars
from dcgan_analysis.core.statistics import judged_share
from dcgan_analysis.errors import AnalysisError, AnnotationError, UnknownNameError
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


def test_the_exemplars_of_a_run_repeat_its_figure(run, network, make_images, tmp_path, monkeypatch):
    drawn = []

    def keep_panels(tiles, **options):
        drawn.append(np.stack([tile.image for rows in tiles.values() for row in rows for tile in row]))
        return image_panels(tiles, **options)

    image_panels = figures.image_panels
    monkeypatch.setattr(figures, "image_panels", keep_panels)
    first = run(LatentArithmetic(), make_images(), **SHORT)
    second = run(LatentArithmetic(), make_images(), exemplars=str(first.folder / "exemplars.json"), **SHORT)
    before, after = drawn
    # 3 exemplars of 3 concepts, 3 averages, the result among 8 neighbours, the sum on pixels.
    assert len(before) == 9 + 3 + 9 + 1
    np.testing.assert_array_equal(before, after)
    assert "shows the exemplars of 'exemplars.json'" in second.notes[0]
    assert read_exemplars(first.folder / "exemplars.json").checkpoint_sha256 == network.sha256("generator")


def test_every_number_follows_from_the_files_of_the_run(run, make_images, saved):
    result = run(LatentArithmetic(), make_images(), **SHORT)
    outcomes, metrics = saved(result, "outcomes"), result.metrics
    assert outcomes["triples"].shape == (3, 4, 3)
    for name in ("success", "one_exemplar_success", "pixel_success", "c_alone", "chance"):
        expected = judged_share(outcomes[name])
        assert (metrics[name].value, metrics[name].low, metrics[name].high) == pytest.approx(expected)
    for way, name in (("success", "realism"), ("pixel_success", "pixel_realism")):
        ranks = outcomes[f"{way}_realism"]
        assert (metrics[name].value, metrics[name].n) == (pytest.approx(ranks.mean()), len(ranks))
        assert metrics[name].low <= metrics[name].value <= metrics[name].high


def test_exemplars_without_an_expression_are_refused_before_anything_long(run, make_images, tmp_path):
    path = tmp_path / "e.json"
    path.write_text(json.dumps({"format": "dcgan-analysis exemplars", "concepts": {"a": [1]}}))
    with pytest.raises(AnnotationError, match="have no expression"):
        run(LatentArithmetic(), make_images(), exemplars=str(path), **SHORT)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"margin": 50.0},
            AnalysisError,
            r"Only 0 of 48 samples clearly show 'more slant, less brightness', 3 are",
        ),
        ({"moved": "slent"}, UnknownNameError, "Unknown attribute 'slent'. Did you mean 'slant'"),
        ({"contrast": []}, AnalysisError, "told apart by one or two others, got slant and nothing"),
    ],
)
def test_what_cannot_be_asked_is_said(run, make_images, change, error, message):
    with pytest.raises(error, match=message):
        run(LatentArithmetic(), make_images(), **{**SHORT, **change})

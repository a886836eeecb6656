from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from dcgan_analysis_plugins.paper_figures.gather import make_figure
from dcgan_analysis_plugins.paper_figures.published import FIGURES
from PIL import Image

from dcgan_analysis import figures
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.errors import AnalysisError, ConfigError
from dcgan_analysis.models.tables import dcgan28_conditional
from dcgan_analysis.runs.library import load_checkpoint
from dcgan_analysis.runs.request import RunRequest
from dcgan_analysis.testing import make_dataset

LOSSES = {"generator_loss": 1.0, "discriminator_loss": 1.0, "real_probability": 0.6, "fake_probability": 0.4}
SMALL = {
    2: {"draws": 2},
    3: {"draws": 2},
    4: {"walks": 1, "points": 2, "steps": 2, "bank": 2},
    5: {"features": [0], "top": 2, "measured": 1, "noise_draws": 1},
    6: {"samples": 4, "draws": 2, "doses": 2, "judges": 2},
    7: {
        "samples": 60,
        "triples": 2,
        "classifier_steps": 1,
        "judges": 2,
        "margin": 0.0,
        "moved": "slant",
        "contrast": ["brightness"],
    },
    8: {"samples": 40, "new": 2, "multiples": 3, "vectors": 1, "tail": 0.2, "classifier_steps": 1, "judges": 2},
}
SHEET = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A folder as a training of five epochs leaves it."""
    folder = tmp_path_factory.mktemp("training")
    load_checkpoint("digits-dcgan32").save(folder / "model.safetensors")
    rows = [
        {"epoch": epoch, "step": epoch, "samples": f"samples/epoch-{epoch:07.2f}.png", **LOSSES}
        for epoch in range(1, 6)
    ]
    (folder / "history.json").write_text(json.dumps(rows))
    for row in rows:
        figures.save_image(SHEET + np.uint8(row["step"]), folder / row["samples"])
    return folder


@pytest.mark.parametrize("number", [number for number, figure in FIGURES.items() if figure.analysis])
def test_every_figure_of_an_analysis_is_one_that_a_run_of_it_holds(number, training, tmp_path, unrendered):
    images = make_dataset(train=40) if FIGURES[number].dataset else None
    request = RunRequest(
        checkpoint=training if number in (2, 3) else "digits-dcgan32", dataset=images, settings=SMALL[number], seed=3
    )
    made = make_figure(number, tmp_path, request)
    assert FIGURES[number].analysis in made.command
    assert "--seed 3" in made.command
    network = "training0" if number in (2, 3) else "digits-dcgan32"
    assert f" Run on {network} (" in made.caption
    (picture,) = tmp_path.glob(f"runs/*/figures/{FIGURES[number].picture}.png")
    assert (tmp_path / f"figure-{number}.png").read_bytes() == picture.read_bytes()
    assert json.loads((tmp_path / f"figure-{number}.json").read_text())["command"] == made.command
    # What was run once is used again.
    assert make_figure(number, tmp_path, request, gather_only=True) == made


def test_samples_after_one_epoch_and_after_five_are_those_of_the_training(training, tmp_path):
    for number, epoch in ((2, 1), (3, 5)):
        made = make_figure(number, tmp_path, RunRequest(checkpoint=training))
        with Image.open(made.path) as sheet:
            assert np.asarray(sheet)[..., 0].tolist() == (SHEET[0] + epoch).tolist()


def test_a_training_without_samples_after_that_epoch_is_no_figure(training, tmp_path):
    lone = tmp_path / "lone"
    load_checkpoint("digits-dcgan32").save(lone / "model.safetensors")
    with pytest.raises(
        AnalysisError, match=r"no figure 'samples-1', but none\. Figure 2 needs the folder of a training"
    ):
        make_figure(2, tmp_path / "out", RunRequest(checkpoint=lone, settings={"draws": 2}))
    assert not (tmp_path / "out" / "figure-2.png").exists()


def test_digits_stand_in_a_column_for_each_class_real_ones_first(tmp_path, monkeypatch):
    drawn = {}

    def keep(panels, **options):
        drawn.update(panels)
        return image_panels(panels, **options)

    image_panels = figures.image_panels
    monkeypatch.setattr(figures, "image_panels", keep)
    images = make_dataset(train=30, shape=(1, 28, 28))
    network = Checkpoint.random(dcgan28_conditional(width=4, hidden=8, classes=len(images.classes)), seed=1, name="net")
    made = make_figure(9, tmp_path, RunRequest(checkpoint=network, dataset=images))
    assert list(drawn) == [images.name, "net"]
    split = images.split("train")
    for row, tiles in enumerate(drawn[images.name]):
        for number, tile in enumerate(tiles):
            nth = np.flatnonzero(split.labels == number)[row]
            np.testing.assert_array_equal(tile.image, split.images[nth])
    assert {len(rows) for rows in drawn.values()} == {10}
    assert [one["name"] for one in made.checkpoints] == ["net"]
    assert made.run is None


@pytest.mark.parametrize("number", [10, 11])
def test_a_sheet_is_of_the_network_that_is_given(number, network, tmp_path):
    made = make_figure(number, tmp_path, RunRequest(checkpoint=network, seed=2))
    with Image.open(made.path) as sheet:
        pixels = np.asarray(sheet)
    first = network.sample(1, seed=2)[0].clamp(-1, 1).add(1).mul(127.5).round().byte().permute(1, 2, 0)
    scale = pixels.shape[1] // (12 * 34 - 2)
    np.testing.assert_allclose(pixels[::scale, ::scale][:32, :32].astype(int), first.numpy().astype(int), atol=1)
    assert pixels.shape[:2] == (scale * (8 * 34 - 2), scale * (12 * 34 - 2))
    assert made.command == f"dcgan-analyze figure {number} --checkpoint tiny --seed 2 --out {tmp_path}"
    assert made.remark == ""


def test_what_the_shipped_networks_have_is_said_where_they_are_shown(tmp_path, monkeypatch):
    monkeypatch.setitem(FIGURES, 10, replace(FIGURES[10], checkpoint="digits-dcgan32", own="a smaller one"))
    shipped = make_figure(10, tmp_path)
    assert shipped.remark == "Shown here: a smaller one."
    assert shipped.checkpoints[0]["name"] == "digits-dcgan32"


@pytest.mark.parametrize(
    ("number", "request_", "message"),
    [
        (1, {}, "Figures 2 to 11 .* got 1. Figure 1 is a drawing .* dcgan-analyze show bedrooms64"),
        (12, {}, "Figures 2 to 11 of the paper can be made, got 12"),
        (2, {}, "Figure 2: Bedrooms after one epoch. It needs a checkpoint: the folder of a training"),
        (11, {}, "Figure 11: Samples of a network trained on ImageNet-1k. It needs a checkpoint"),
        (10, {"settings": {"walks": 1}}, "without an analysis: leave out the setting 'walks'"),
        (10, {"dataset": "digits"}, "without an analysis: leave out the dataset 'digits'"),
        (9, {"checkpoint": "digits-dcgan32", "dataset": "digits"}, "'digits-dcgan32' is unconditional"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(number, request_, message, tmp_path):
    with pytest.raises((ConfigError, AnalysisError), match=message) as caught:
        make_figure(number, tmp_path, RunRequest(**request_))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_without_a_finished_run_nothing_is_run_where_only_these_are_asked_for(tmp_path):
    with pytest.raises(AnalysisError, match="no finished run of 'latent-walk'"):
        make_figure(4, tmp_path, RunRequest(checkpoint="digits-dcgan32"), gather_only=True)


def test_the_command_prints_the_path_first_and_then_what_is_to_be_seen(run_cli, tmp_path):
    out = tmp_path / "f"
    arguments = ("figure", 9, "--checkpoint", "digits-conditional", "--dataset", "digits", "--out", out, "--limit", 50)
    path, caption, remark, repeat = run_cli(*arguments).assert_success().out.splitlines()
    assert path == str(out / "figure-9.png")
    assert caption.startswith("Figure 9: Digits: of MNIST")
    assert remark == "Smoke run: 50 images a split."
    assert repeat.startswith("Repeat: dcgan-analyze figure 9 --checkpoint digits-conditional --dataset digits --seed 0")
    document = run_cli(*arguments, "--json").assert_success().json()
    assert document["path"] == path
    assert document == json.loads((out / "figure-9.json").read_text())

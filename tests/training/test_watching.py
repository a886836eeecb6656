from __future__ import annotations

import sys

import pytest

from dcgan_analysis.errors import TrainingError


def test_event_files_hold_curves_samples_and_warnings(make_trainer):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trainer = make_trainer(tensorboard=True, epochs=2)
    trainer.run()

    read = events.EventAccumulator(str(trainer.folder / "tensorboard"))
    read.Reload()
    assert {"training/generator_loss", "training/images_per_second", "interval/diversity"} <= set(
        read.Tags()["scalars"]
    )
    assert [event.step for event in read.Scalars("interval/diversity")] == [4, 8]
    assert read.Scalars("interval/diversity")[-1].value == pytest.approx(trainer.history[-1]["diversity"])
    assert [event.step for event in read.Images("samples")] == [4, 8]


def test_without_the_package_one_line_says_how_to_get_it(make_trainer, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)

    with pytest.raises(TrainingError, match=r"^tensorboard=true needs the package .*pip install 'dcgan-analysis\[tens"):
        make_trainer(tensorboard=True).run()

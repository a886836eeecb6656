from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data import load_dataset
from dcgan_analysis.errors import TrainingError
from dcgan_analysis.models import tables
from dcgan_analysis.training.feature_probe import FeatureProbe

DIGITS = load_dataset("digits").split("train")


def test_sides_never_share_an_image_and_are_always_the_same():
    first, second = (FeatureProbe(DIGITS.images, DIGITS.labels, 200, seed=1) for _ in range(2))

    fitting, judged = set(first._fitting), set(first._judged)
    assert (len(fitting), len(judged), int(first._choosing.sum())) == (160, 40, 40)
    assert not fitting & judged
    np.testing.assert_array_equal(first._judged, second._judged)
    assert np.bincount(DIGITS.labels[first._judged]).tolist() == [4] * 10


def test_features_of_digits_tell_them_apart_and_shuffled_labels_do_not():
    checkpoint = Checkpoint.random(tables.dcgan32_svhn(width=4), seed=0)
    shuffled = np.random.default_rng(0).permutation(DIGITS.labels)

    accuracy, n = FeatureProbe(DIGITS.images, DIGITS.labels, 300, seed=0).accuracy(checkpoint, "cpu")
    chance, _ = FeatureProbe(DIGITS.images, shuffled, 300, seed=0).accuracy(checkpoint, "cpu")

    assert n == 60
    assert accuracy > 0.7
    assert chance < 0.35


def test_the_best_checkpoint_is_kept_and_labels_change_no_weight(make_trainer, split, monkeypatch):
    accuracies = iter([0.5, 0.8, 0.6])
    monkeypatch.setattr(FeatureProbe, "accuracy", lambda self, checkpoint, device: (next(accuracies), 7))
    trainer = make_trainer(epochs=3, probe_every=1, probe_images=30)
    trainer.run()
    plain = make_trainer("plain", epochs=2)

    assert [row["feature_accuracy"] for row in trainer.history] == [0.5, 0.8, 0.6]
    best = (trainer.folder / "best.safetensors").read_bytes()
    second = plain.run()
    from dcgan_analysis.checkpoints.metadata import read_metadata

    assert read_metadata(trainer.folder / "best.safetensors").step == 8
    assert best != (trainer.folder / "model.safetensors").read_bytes()
    trainer_best = make_trainer("again", epochs=2, probe_every=1, probe_images=30)
    monkeypatch.setattr(FeatureProbe, "accuracy", lambda self, checkpoint, device: (0.1, 7))
    assert trainer_best.run().sha256() == second.sha256()


def test_images_that_are_not_trained_on_or_another_dataset_s_are_measured(tmp_path, monkeypatch):
    from dcgan_analysis.runs.library import train

    seen = []

    def accuracy(self, checkpoint, device):
        seen.append(self._images)
        return 0.5, 7

    monkeypatch.setattr(FeatureProbe, "accuracy", accuracy)
    small = {"architecture": "dcgan32-svhn", "parameters": {"width": 4}, "precision": "float32"}
    settings = small | {"dataset": "digits", "images": 256, "epochs": 0.5, "probe_every": 1, "probe_images": 30}
    train(settings, tmp_path / "left")
    train(settings | {"images": len(DIGITS) - 29}, tmp_path / "own")
    train(settings | {"probe_dataset": "digits"}, tmp_path / "named")
    np.testing.assert_array_equal(seen[0], DIGITS.images[256:])
    assert [len(images) for images in seen[1:]] == [len(DIGITS) - 29, len(DIGITS)]


def test_measurements_may_come_more_rarely_than_samples(make_trainer, monkeypatch):
    monkeypatch.setattr(FeatureProbe, "accuracy", lambda self, checkpoint, device: (0.5, 7))
    trainer = make_trainer(epochs=3, probe_every=2, probe_images=30)
    trainer.run()

    assert ["feature_accuracy" in row for row in trainer.history] == [False, True, True]


@pytest.mark.parametrize("labels", [None, np.zeros(36, np.int64)])
def test_data_that_cannot_be_probed_are_refused_at_the_beginning(make_trainer, split, labels):
    with pytest.raises(
        TrainingError, match=r"^probe_every=1 measures the feature accuracy, but dataset 'noise', split"
    ):
        make_trainer(images=replace(split, labels=labels), probe_every=1)


def test_a_conditional_discriminator_is_not_probed(make_trainer):
    parameters = {"width": 8, "image_size": 32, "classes": 3}
    with pytest.raises(TrainingError, match="'mlp-conditional' is conditional: its features would depend on the label"):
        make_trainer(architecture="mlp-conditional", parameters=parameters, probe_every=1)

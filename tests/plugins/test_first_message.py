"""Everything that stands against a run of a built-in analysis is said in one message, before the run begins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data import Dataset, DatasetSplit
from dcgan_analysis.errors import DcganAnalysisError
from dcgan_analysis.host.host import default_host
from dcgan_analysis.models.tables import dcgan28_conditional, dcgan32
from dcgan_analysis.runs.prepare import Sources, prepare_run
from dcgan_analysis.runs.request import RunRequest
from dcgan_analysis.testing import make_dataset

SPLIT = "needs a split 'test'; dataset 'wrong' has: train"
LABELS = "needs labels of at least two classes; dataset 'wrong' has no labels"
SIZE = "Dataset 'wrong' has images of 3x48x48, checkpoint 'mine' takes 3x32x32"
GENERATOR = "needs a generator; checkpoint 'mine' holds none"
DISCRIMINATOR = "needs a discriminator; checkpoint 'mine' holds none"
BY_CLASS = "would depend on the label, for its discriminator is conditioned on 10 classes"
FEW = "images, 50 per class were asked for"


def wrong():
    """Return a dataset that has neither a test split nor labels nor images of the right size."""
    images = np.arange(5 * 3 * 48 * 48).reshape(5, 3, 48, 48).astype(np.uint8)
    return Dataset.from_splits("wrong", {"train": DatasetSplit(images, None, list("abcde"))})


def alone(role):
    """Return a checkpoint that holds one of the two networks."""
    whole = Checkpoint.random(dcgan32(width=4), seed=0, name="mine")
    return replace(whole, weights={role: whole.weights[role]})


def by_class():
    return Checkpoint.random(dcgan28_conditional(width=4), seed=0, name="mine")


def refusal(analysis, dataset=None, checkpoint=None, **settings):
    request = RunRequest(analysis, settings, checkpoint=checkpoint, dataset=dataset)
    with pytest.raises(DcganAnalysisError) as error:
        prepare_run(request, Sources(default_host()))
    return str(error.value)


@pytest.mark.parametrize(
    ("analysis", "settings", "sentences"),
    [
        ("svm-cifar", {}, [SPLIT, LABELS, DISCRIMINATOR, SIZE]),
        ("svm-svhn", {}, [SPLIT, LABELS, DISCRIMINATOR, SIZE]),
        ("svm-best", {}, [SPLIT, LABELS, DISCRIMINATOR, SIZE]),
        ("random-features", {}, [SPLIT, LABELS, DISCRIMINATOR, SIZE]),
        ("label-curve", {}, [SPLIT, LABELS, DISCRIMINATOR, SIZE]),
        ("pixels", {}, [SPLIT, LABELS]),
        ("kmeans-features", {}, [SPLIT, LABELS]),
        ("guided-backprop", {"split": "test"}, [SPLIT, DISCRIMINATOR, SIZE]),
        ("max-activations", {"split": "test"}, [SPLIT, DISCRIMINATOR, SIZE]),
        ("activation-maximization", {"split": "test"}, [SPLIT, DISCRIMINATOR, SIZE]),
        ("supervised-cnn", {}, [SPLIT, LABELS, SIZE]),
        ("mnist-nn", {}, [SPLIT, LABELS, "needs networks conditioned on classes", SIZE]),
        ("memorisation", {"judge": "discriminator"}, [DISCRIMINATOR, SIZE]),
        ("invert", {"judge": "discriminator"}, [DISCRIMINATOR, SIZE, "at least 10 images of split 'train'"]),
        ("fidelity", {"judge": "discriminator"}, [DISCRIMINATOR, SIZE, "at least 32 images of split 'train'"]),
        ("fidelity", {"judge": "classifier"}, [LABELS, SIZE]),
        ("stability", {}, [SIZE]),
        ("guidelines", {}, ["has 5 images, fewer than one minibatch of 16"]),
        ("latent-walk", {"judge": "discriminator"}, [DISCRIMINATOR]),
        ("turn-vector", {"judge": "discriminator"}, [DISCRIMINATOR, "has no labels, attributes or numbers to learn"]),
        ("directions", {"judge": "discriminator"}, [DISCRIMINATOR, "has no labels, attributes or numbers to learn"]),
        ("latent-arithmetic", {"exemplars": "absent.json"}, ["'absent.json' does not exist", "no labels, attributes"]),
        ("dissect", {"detector": "discriminator", "boxes": "absent.json"}, [DISCRIMINATOR]),
        (
            "filter-dropout",
            {"detector": "discriminator", "boxes": "absent.json", "layer": "deconv9"},
            [DISCRIMINATOR],
        ),
    ],
)
def test_all_that_a_generator_and_a_wrong_dataset_lack_is_said_at_once(analysis, settings, sentences):
    text = refusal(analysis, wrong(), alone("generator"), **settings)
    assert [sentence for sentence in sentences if sentence not in text] == []
    assert text.count("Dataset 'wrong' has images of") <= 1


@pytest.mark.parametrize(
    ("analysis", "settings", "sentences"),
    [
        ("latent-walk", {}, [GENERATOR]),
        ("turn-vector", {"attribute": "yaw"}, [GENERATOR, "Unknown attribute 'yaw'"]),
        ("directions", {"attributes": ["yaw"], "samples": 20}, [GENERATOR, "Unknown attribute 'yaw'", "holds 4 of 20"]),
        ("latent-arithmetic", {"moved": "yaw"}, [GENERATOR, "Unknown attribute 'yaw'"]),
        ("memorisation", {}, [GENERATOR]),
        ("invert", {}, [GENERATOR]),
        ("fidelity", {"judge": "inception"}, [GENERATOR, "judge=inception: "]),
        ("stability", {}, [GENERATOR]),
        ("filter-dropout", {}, [GENERATOR]),
        ("dissect", {}, [GENERATOR]),
        ("dissect", {"attribute": "yaw"}, [GENERATOR, "Unknown attribute 'yaw'"]),
        ("mnist-nn", {}, [GENERATOR, "needs networks conditioned on classes"]),
        ("guided-backprop", {"tap": "conv9"}, ["Unknown tap 'conv9'"]),
        ("guided-backprop", {"features": [0, 99]}, ["features 0 to 15, got 99"]),
        ("max-activations", {"taps": ["conv9", "conv1"], "features": [4]}, ["'conv9'", "features 0 to 3, got 4"]),
        ("activation-maximization", {"taps": ["conv9", "conv8"]}, ["'conv9'", "'conv8'"]),
        ("svm-cifar", {"labels_per_class": 50}, [FEW]),
        ("random-features", {"labels_per_class": 50}, [FEW]),
        ("pixels", {"labels_per_class": 50}, [FEW]),
        ("kmeans-features", {"labels_per_class": 50, "patch": 40}, [FEW, "Patches of 40x40 do not fit"]),
        ("svm-svhn", {"labels_per_class": 50, "validation": 6}, [FEW]),
        ("label-curve", {"labels": [50], "validation": 6}, [FEW]),
        ("supervised-cnn", {"labels_per_class": 50, "validation": 6}, [FEW]),
        ("svm-best", {"test": "last-40"}, ["Cannot hold out the last 40 of 30 images"]),
    ],
)
def test_what_a_run_would_refuse_later_is_refused_first(analysis, settings, sentences):
    text = refusal(analysis, make_dataset(train=30, test=12), alone("discriminator"), **settings)
    assert [sentence for sentence in sentences if sentence not in text] == []


@pytest.mark.parametrize("analysis", ["filter-dropout", "dissect"])
def test_boxes_layers_and_samples_are_looked_for_at_once(analysis):
    settings = {"boxes": "absent.json", "layer": "deconv9", "label": 3}
    text = refusal(analysis, None, Checkpoint.random(dcgan32(width=4), seed=0, name="mine"), **settings)
    assert "'absent.json' does not exist" in text
    assert "Unknown generator layer 'deconv9'" in text


@pytest.mark.parametrize("analysis", ["svm-cifar", "svm-svhn", "svm-best", "random-features", "label-curve"])
def test_features_that_depend_on_the_label_are_refused_first(analysis):
    assert BY_CLASS in refusal(analysis, make_dataset(train=30, test=12), by_class())


def test_a_conditional_discriminator_asks_for_the_labels_of_its_classes_and_for_their_size():
    text = refusal("guided-backprop", wrong(), by_class())
    assert "images of 3x48x48, checkpoint 'mine' takes 1x28x28" in text
    assert "is conditioned on 10 classes; the images of 'wrong' have no labels" in text

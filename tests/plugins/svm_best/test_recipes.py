from __future__ import annotations

import numpy as np
import pytest
from dcgan_analysis_plugins.svm_best.recipes import Recipe, RecipeProbes, RecipeSettings, mirrored

from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.probing.classification import labelled_images


@pytest.fixture
def probes(dcgan_context):
    return RecipeProbes(
        dcgan_context, RecipeSettings(dtype="float32", protocol="paper"), labelled_images(dcgan_context)
    )


def first(probes, recipe):
    return probes.rows(recipe, "test").read(0, 1).numpy()


@pytest.fixture
def split():
    return DatasetSplit(np.arange(24, dtype=np.uint8).reshape(2, 1, 3, 4), None, ["a", "b"])


def test_changes_add_up():
    recipe = Recipe(4).changed({"root": True}, {"without": ("a",)}, {"grid": 2}, {"without": ("b",)})
    assert recipe == Recipe(2, root=True, without=("a", "b"))
    assert Recipe(4).changed() == Recipe(4)


def test_mirrored_images_come_back(split):
    assert mirrored(split).images[0, 0, 0].tolist() == [3, 2, 1, 0]
    assert (mirrored(mirrored(split)).images == split.images).all()


def test_mirrored_images_have_a_hash_of_their_own_where_that_of_the_images_was_known_before(split):
    known = DatasetSplit(split.images, None, split.ids, known_sha256="ab")
    assert mirrored(known).sha256 == mirrored(split).sha256 != split.sha256


def test_rows_are_what_the_recipe_says(probes, dcgan_context):
    plain = first(probes, Recipe(4))
    np.testing.assert_allclose(first(probes, Recipe(4, root=True)), np.sign(plain) * np.sqrt(np.abs(plain)), rtol=1e-6)
    kept = first(probes, Recipe(4, without=("conv1", "conv6")))
    # Width 8: conv1 has 8 maps, conv6 has 32, each 4x4.
    np.testing.assert_array_equal(kept, plain[:, 8 * 16 : -32 * 16])
    # Max-pooling of a coarser grid is that of its cells.
    cells = plain[:, : 8 * 16].reshape(8, 2, 2, 2, 2).max(axis=(2, 4)).ravel()
    np.testing.assert_allclose(first(probes, Recipe(2))[0, : 8 * 4], cells, rtol=1e-6)
    with_mirror = first(probes, Recipe(4, mirror=True))
    other = probes.context.extraction(probes.settings.spec(), probes.images.train)
    mirror = other.store("test", mirrored(probes.images.test)).rows().read(0, 1).numpy()
    np.testing.assert_allclose(with_mirror, (plain + mirror) / 2, rtol=1e-6, atol=1e-7)


def test_a_choice_is_made_once_and_is_the_smallest_of_equals(probes, monkeypatch):
    choice = probes.choose(Recipe(4), (1.0, 1e-3, 0.5))
    assert choice.cs.tolist() == [1e-3, 0.5, 1.0]
    assert choice.c == choice.cs[np.flatnonzero(choice.validation == choice.accuracy)[0]]
    assert choice.features == 112 * 16
    monkeypatch.setattr("dcgan_analysis.linear.path.l2svm_path", None)
    assert probes.choose(Recipe(4), (1e-3, 0.5, 1.0)) is choice


def test_a_scaler_is_learned_on_training_images_alone(probes):
    recipe = Recipe(4, standardise=True)
    before = probes.predict(recipe, 1e-3)
    probes.images.test.images[1:] = 0
    again = RecipeProbes(probes.context, probes.settings, probes.images)
    # The first image is told the same, whatever its neighbours are.
    assert again.predict(recipe, 1e-3)[0] == before[0]

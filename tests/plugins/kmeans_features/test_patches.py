from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from dcgan_analysis_plugins.kmeans_features.patches import (
    PatchDictionary,
    PatchSpec,
    learn_dictionary,
    normalise_contrast,
    sample_patches,
)

from dcgan_analysis.core import parallel
from dcgan_analysis.errors import AnalysisError

SPEC = PatchSpec(size=3, centroids=5, patches=300, epochs=2)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (12, 2, 9, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def dictionary(images):
    return learn_dictionary(images, SPEC, np.random.default_rng(1))


def slow_codes(dictionary, image):
    """Encode one image position by position, in float64, as the paper puts it into words."""
    size = dictionary.spec.size
    height, width = image.shape[1] - size + 1, image.shape[2] - size + 1
    codes = np.zeros((height, width, len(dictionary.centroids)))
    for y in range(height):
        for x in range(width):
            patch = image[:, y : y + size, x : x + size].astype(np.float64).ravel()
            patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + dictionary.spec.contrast)
            distance = np.linalg.norm((patch - dictionary.mean) @ dictionary.whitening - dictionary.centroids, axis=1)
            codes[y, x] = np.maximum(0, distance.mean() - distance)
    return codes


def test_an_image_becomes_the_sums_of_its_patches_codes_over_the_quadrants(dictionary, images):
    codes = slow_codes(dictionary, images[0])  # 7 x 6 positions: rows are divided 4 and 3
    quadrants = [
        codes[rows, columns].sum((0, 1)) for rows in (slice(4), slice(4, 7)) for columns in (slice(3), slice(3, 6))
    ]
    expected = np.stack(quadrants, axis=1).ravel()
    found = dictionary.encode(images[:1])[0].numpy()
    assert found.shape == (dictionary.features,) == (20,)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_an_images_features_do_not_depend_on_the_others(dictionary, images):
    torch.testing.assert_close(dictionary.encode(images)[3], dictionary.encode(images[3:4])[0], rtol=1e-5, atol=1e-4)


def test_features_have_the_same_bits_for_any_number_of_workers(dictionary, images, monkeypatch):
    found = []
    for count in (1, 3):
        monkeypatch.setattr(parallel, "worker_count", lambda device=None, count=count: count)
        found.append(dictionary.encode(images))
    assert torch.equal(*found)


def test_a_position_belongs_to_one_cell_also_where_they_cannot_be_divided_evenly(dictionary, images):
    whole = replace(dictionary, spec=replace(SPEC, grid=1)).encode(images)
    for grid in (2, 3, 6):
        cells = replace(dictionary, spec=replace(SPEC, grid=grid)).encode(images)
        assert (cells.view(len(images), 5, grid * grid).sum(0) > 0).all()
        torch.testing.assert_close(cells.view(len(images), 5, -1).sum(2), whole, rtol=1e-4, atol=1e-3)


def test_contrast_is_normalised_by_the_variance_plus_a_constant():
    patches = torch.tensor([[1.0, 2.0, 3.0], [7.0, 7.0, 7.0]])
    expected = torch.tensor([[-1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]) / torch.tensor([[1.0 + 10.0], [10.0]]).sqrt()
    torch.testing.assert_close(normalise_contrast(patches, 10.0), expected)


def test_patches_are_cut_from_everywhere_channels_included():
    image = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(1, 2, 4, 4)
    patches = sample_patches(image, 3, 200, np.random.default_rng(0))
    corners = {tuple(patch[[0, 9]].tolist()) for patch in patches}
    assert corners == {(y * 4 + x, 16 + y * 4 + x) for y in (0, 1) for x in (0, 1)}
    np.testing.assert_array_equal(patches[0, :3].numpy(), patches[0, 0].item() + np.arange(3))


def test_the_whitening_decorrelates_patches_but_for_what_is_added(images):
    spec = replace(SPEC, whitening=1e-6, patches=5000, epochs=1)
    dictionary = learn_dictionary(images, spec, np.random.default_rng(2))
    whitened = dictionary.whiten(sample_patches(images, 3, 5000, np.random.default_rng(2)))
    covariance = np.cov(whitened.numpy().T)
    # The mean of each patch is gone: one direction less.
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance), [0] + [1] * 17, atol=0.02)


def test_centroids_are_where_the_patches_are():
    stripes = np.zeros((2, 1, 12, 12), np.uint8)
    stripes[0, :, ::2], stripes[1, :, :, ::2] = 200, 200
    # Four patches occur: rows and columns, each in two phases.
    dictionary = learn_dictionary(stripes, PatchSpec(2, 4, 400, 3), np.random.default_rng(0))
    whitened = dictionary.whiten(sample_patches(stripes, 2, 400, np.random.default_rng(5)))
    nearest = torch.cdist(whitened, torch.from_numpy(dictionary.centroids)).min(1).values
    assert nearest.max() < 1e-2


def test_the_same_seed_gives_the_same_dictionary_and_another_another(dictionary, images):
    again = learn_dictionary(images, SPEC, np.random.default_rng(1))
    assert again.sha256 == dictionary.sha256
    assert PatchDictionary.of(SPEC, again.arrays()).sha256 == dictionary.sha256
    assert learn_dictionary(images, SPEC, np.random.default_rng(3)).sha256 != dictionary.sha256


def test_the_twin_has_other_centroids_of_the_same_lengths(dictionary):
    twin = dictionary.twin(np.random.default_rng(0))
    assert twin.sha256 != dictionary.sha256
    np.testing.assert_array_equal(twin.whitening, dictionary.whitening)
    np.testing.assert_allclose(*(np.linalg.norm(one.centroids, axis=1) for one in (twin, dictionary)), rtol=1e-5)
    cosines = (twin.centroids * dictionary.centroids).sum(1) / np.square(dictionary.centroids).sum(1)
    assert np.abs(cosines).max() < 0.95


def test_progress_is_told_of_every_step(images):
    told = []
    learn_dictionary(images, SPEC, np.random.default_rng(1), lambda *words: told.append(words))
    assert told == [("K-means (steps)", 1, 2), ("K-means (steps)", 2, 2)]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(SPEC, size=8), r"Patches of 8x8 do not fit: images of 9x8 .* allow 2 to 7 pixels"),
        (replace(SPEC, centroids=301), r"301 centroids cannot be learned from 300 patches; set patches higher"),
    ],
)
def test_what_cannot_be_learned_is_refused(spec, message, images):
    with pytest.raises(AnalysisError, match=message):
        learn_dictionary(images, spec, np.random.default_rng(0))

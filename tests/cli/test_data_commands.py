"""``prepare`` and ``crop-faces`` on photos as people have them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """Return a function that writes arrays as PNG files of a folder."""

    def write(**arrays):
        folder = tmp_path / "photos"
        folder.mkdir()
        for name, array in arrays.items():
            Image.fromarray(array).save(folder / f"{name}.png")
        return folder

    return write


def test_prepare_names_the_setting_for_deep_images_and_takes_it_into_the_same_folder(cli, photos, tmp_path, complains):
    folder = photos(a=np.full((4, 4), 1000, np.uint16), b=np.full((4, 4), 4000, np.uint16))
    words = ("prepare", folder, "--size", "4", "--out", tmp_path / "ready")
    complains(cli(*words), "None of the 2 images", "values 1000 to 1000", "the range of dcgan-analyze prepare")
    outcome = cli(*words, "--range", "0", "4000").assert_success()
    assert "train: 2 images of 3x4x4" in outcome.out


def test_prepare_says_on_standard_error_what_it_changed(cli, photos, tmp_path):
    folder = photos(a=np.zeros((4, 4, 4), np.uint8))
    outcome = cli("prepare", folder, "--size", "4", "--out", tmp_path / "ready", "--background", "#00f", "--json")
    assert outcome.assert_success().json() == {"folder": str(tmp_path / "ready"), "images": {"train": 1}, "skipped": 0}
    assert "1 images with transparency, composed on RGB 0 0 255." in outcome.err
    refused = cli("prepare", folder, "--size", "4", "--out", tmp_path / "no", "--background", "plaid")
    assert refused.exit_code == 2
    assert "'plaid' is not a colour" in refused.err


def test_no_face_found_is_a_warning_with_hints(cli, photos, tmp_path):
    pytest.importorskip("cv2")
    outcome = cli("crop-faces", photos(a=np.zeros((80, 80, 3), np.uint8)), "--out", tmp_path / "faces")
    outcome.assert_success()
    assert "Warning: no face of 64 pixels or more was found" in outcome.err
    assert "turn photos that lie on their side" in outcome.err
    assert json.loads((tmp_path / "faces" / "faces.json").read_text())["faces"] == {}

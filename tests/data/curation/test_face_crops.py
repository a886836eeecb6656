from __future__ import annotations

import io
import json
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.data import load_dataset
from dcgan_analysis.data.curation import face_crops
from dcgan_analysis.data.curation.face_crops import crop_faces, square_around
from dcgan_analysis.errors import DatasetError


def bright_squares(gray, smallest):
    """Detect one face: the box around all white pixels."""
    ys, xs = np.nonzero(gray == 255)
    if not len(ys):
        return []
    box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
    return [box] if min(box[2:]) >= smallest else []


@pytest.fixture
def photos(make_folder):
    """Three photos of 40x60: a face of 16 pixels, one of 8, none; and one that is damaged."""
    pictures = {f"{name}.png": np.zeros((40, 60, 3), np.uint8) for name in ("large", "none", "small")}
    pictures["large.png"][10:26, 20:36] = 255
    pictures["small.png"][10:18, 20:28] = 255
    folder = make_folder(pictures)
    (folder / "damaged.png").write_bytes(b"no image")
    return folder


def test_faces_large_enough_are_cut_and_everything_else_is_counted(photos, tmp_path):
    done = crop_faces(photos, tmp_path / "faces", size=16, detector=bright_squares)

    assert (done.photos, done.faces, done.small, done.skipped) == (4, 1, 1, 1)
    face = np.asarray(Image.open(tmp_path / "faces" / "large-0.png"))
    assert face.shape == (16, 16, 3)
    assert (face == 255).all()
    record = json.loads((tmp_path / "faces" / "faces.json").read_text())
    assert record["faces"]["large-0.png"] == {"photo": "large.png", "box": [20, 10, 36, 26]}
    assert list(record["skipped"]) == ["damaged.png"]


def test_the_folder_of_faces_is_a_dataset(photos, tmp_path):
    crop_faces(photos, tmp_path / "faces", size=16, smallest=8, detector=bright_squares)
    assert load_dataset(tmp_path / "faces").split("train").images.shape == (2, 3, 16, 16)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((20, 10, 10, 10), (18, 8, 32, 22)),  # 10 and two margins of 2
        ((0, 0, 10, 10), (0, 0, 14, 14)),  # moved inside
        ((50, 30, 10, 10), (46, 26, 60, 40)),
        ((0, 0, 60, 40), (10, 0, 50, 40)),  # no larger than the photo
    ],
)
def test_the_square_keeps_the_face_in_the_middle_as_far_as_the_photo_reaches(box, expected):
    assert square_around(box, 0.2, 60, 40) == expected


def test_after_a_kill_it_goes_on_and_the_outcome_is_the_same(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(face_crops, "_INTERVAL", 1)
    crop_faces(photos, tmp_path / "whole", size=16, detector=bright_squares)
    seen = []

    def dies_at_the_second(gray, smallest):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return bright_squares(gray, smallest)

    with pytest.raises(KeyboardInterrupt):
        crop_faces(photos, tmp_path / "parts", size=16, detector=dies_at_the_second)
    crop_faces(photos, tmp_path / "parts", size=16, detector=dies_at_the_second)

    assert len(seen) == 4  # three photos can be read; the second was looked at twice
    for name in ("faces.json", "large-0.png"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_finished_or_foreign_folders_and_wrong_settings_are_refused(photos, tmp_path):
    crop_faces(photos, tmp_path / "faces", size=16, detector=bright_squares)
    for folder in (tmp_path / "faces", photos):
        with pytest.raises(DatasetError, match=r"is not empty and holds no unfinished crop"):
            crop_faces(photos, folder, size=16, detector=bright_squares)
    with pytest.raises(DatasetError, match=r"margin >= 0; got size 16, smallest None, margin -1"):
        crop_faces(photos, tmp_path / "other", size=16, margin=-1, detector=bright_squares)


def test_without_opencv_the_error_says_how_to_get_it(photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(DatasetError, match=r"needs OpenCV: pip install 'dcgan-analysis\[faces\]'"):
        crop_faces(photos, tmp_path / "faces")


@pytest.mark.data
def test_opencv_finds_the_faces_of_real_photos(data_root, tmp_path):
    pytest.importorskip("cv2")
    archive = data_root / "faces64.zip"
    if not archive.exists():
        pytest.skip(f"no {archive}")
    (tmp_path / "photos").mkdir()
    with zipfile.ZipFile(archive) as faces:
        for i, name in enumerate(sorted(faces.namelist())[-60:]):
            photo = Image.open(io.BytesIO(faces.read(name))).resize((192, 192))
            photo.save(tmp_path / "photos" / f"{i}.png")

    done = crop_faces(tmp_path / "photos", tmp_path / "faces", size=64)

    # Aligned frontal faces: nearly all are found, nearly all once.
    assert 45 <= done.faces <= 70

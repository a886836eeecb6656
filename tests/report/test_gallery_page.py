"""The gallery of the site: what lies in build/gallery, as a table of pictures and links."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest
from PIL import Image

from dcgan_analysis.report import write_report

SITE = Path(__file__).parents[2] / "docs" / "site.py"


@pytest.fixture
def site(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("site_pages", SITE)
    site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site)
    monkeypatch.setattr(site, "GALLERY", tmp_path)
    return site


def test_without_reports_the_gallery_says_so(site):
    assert site.gallery_rows() == "**No reports yet.**"


def test_the_gallery_links_each_report_with_its_question_number_and_picture(site, tmp_path, make_result):
    folder = tmp_path / "svm-cifar"
    (folder / "figures").mkdir(parents=True)
    Image.new("RGB", (900, 300)).save(folder / "figures" / "matrix.png")
    result = make_result()
    write_report(result, folder)
    result.save(folder)
    row = site.gallery_rows().splitlines()[-1]
    assert "[svm-cifar](gallery/svm-cifar/report.html)" in row
    assert "Do the features carry the classes?<br>Accuracy 73.6 % [72.7, 74.5]" in row
    with Image.open(io.BytesIO(site.thumbnail(folder))) as picture:
        assert picture.size == (440, 147)

"""Folders, zips, tars and LMDBs: names and bytes, bounded, and nothing lost without a word."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.core.text import printable
from dcgan_analysis.data import load_dataset, load_images
from dcgan_analysis.data.files.containers import (
    FolderContainer,
    ZipContainer,
    member_name,
    natural_order,
    open_container,
)
from dcgan_analysis.data.files.index import open_images
from dcgan_analysis.data.files.pictures import LIMIT_VARIABLE, PictureError
from dcgan_analysis.data.files.prepare import prepare_images
from dcgan_analysis.errors import DatasetError, DcganAnalysisError


def png(level=0):
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def make_shard(tmp_path):
    """Write a .tar of files in the order given: name -> bytes."""

    def make(name, files, mode="w"):
        path = tmp_path / "shards" / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, mode) as archive:
            for file, data in files.items():
                member = tarfile.TarInfo(file)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path

    return make


def content(path):
    container, index = open_images(path)
    labels = index.labels or [None] * len(index.names)
    return [(name, label, container.read(name)) for name, label in zip(index.names, labels, strict=True)]


def test_names_sort_as_people_count_and_thousands_of_digits_do_no_harm():
    names = ["img10", "img2", "9" * 5000, "a"]
    assert sorted(names, key=natural_order)[-1] == "img10"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photos\\train\\1.png", "photos/train/1.png"),
        ("./a//b.png", "a/b.png"),
        ("/a.png", "a.png"),
        ("a\x1b]0;title\x07.png", "a\\x1b]0;title\\x07.png"),
        ("a\udcff.png", "a\\xff.png"),
        ("猫.png", "猫.png"),
    ],
)
def test_names_are_printable_and_have_forward_slashes(name, expected):
    assert member_name(name) == expected
    assert printable(expected) == expected


def test_what_is_not_used_is_counted_by_reason(tmp_path):
    for name in ("cat/1.png", "dog/2.png", ".ipynb_checkpoints/1.png", "cat/._1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png())
    for name in ("Thumbs.db", "labels.csv", "cat/notes", "__MACOSX"):
        (tmp_path / name).write_bytes(b"text")
    dataset = load_images(tmp_path)
    assert dataset.note == (
        "6 files are not used: hidden (2, first '.ipynb_checkpoints/1.png'), .db (1, first 'Thumbs.db'), "
        "without suffix (2, first '__MACOSX'), .csv (1, first 'labels.csv')."
    )


def test_a_warning_says_what_is_not_used(make_folder, pictures, caplog):
    folder = make_folder(pictures("1.png"))
    (folder / "labels.csv").write_text("file,label\n1.png,0\n")
    load_images(folder)
    assert caplog.messages == [
        "birds: 1 file is not used: .csv (1, first 'labels.csv'). Labels are read from dataset.json alone."
    ]


@pytest.mark.parametrize("name", ["1.jfif", "photo", "1.JPG_large", "1.jpg?size=large"])
def test_a_picture_is_found_by_its_first_bytes_whatever_its_name(tmp_path, name):
    Image.new("RGB", (4, 4)).save(tmp_path / name, "JPEG")
    (tmp_path / "README").write_text("no picture")
    assert load_images(tmp_path).split("train").ids == [name]


def test_links_are_followed_but_no_folder_is_read_twice(tmp_path):
    outside = tmp_path / "elsewhere"
    for folder in (outside, tmp_path / "photos" / "cat", tmp_path / "photos" / "dog"):
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(png())
    photos = tmp_path / "photos"
    (photos / "owl").symlink_to(outside)
    (photos / "again").symlink_to(photos)
    (photos / "root").symlink_to("/")
    (photos / "cat" / "up").symlink_to("..")
    (photos / "second owl").symlink_to(outside)
    (photos / "broken").symlink_to("nowhere")
    (photos / "itself").symlink_to("itself")
    container = FolderContainer(photos)
    assert sorted(container.images) == ["cat/1.png", "dog/1.png", "owl/1.png"]
    assert container.unused.sentence() == (
        "6 files are not used: pipes, devices and broken links (2, first 'broken'), "
        "links to folders that are read already, or that hold this one (4, first 'again')."
    )


def test_pipes_and_devices_are_not_opened(tmp_path):
    (tmp_path / "1.png").write_bytes(png())
    os.mkfifo(tmp_path / "2.png")
    os.mkfifo(tmp_path / "dataset.json")
    (tmp_path / "3.png").symlink_to("/dev/zero")
    dataset = load_images(tmp_path)
    assert dataset.split("train").ids == ["1.png"]
    assert "pipes, devices and broken links (3, first '2.png')" in dataset.note
    for path in (tmp_path / "2.png", "/dev/zero"):
        with pytest.raises(DatasetError, match="is neither a file nor a folder"):
            open_container(type(tmp_path)(path))


def test_a_file_larger_than_any_picture_is_left_out_unread(tmp_path, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, "0.001")
    (tmp_path / "1.png").write_bytes(png())
    with (tmp_path / "2.png").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert load_images(tmp_path).split("train").ids == ["1.png"]
    container = open_container(tmp_path)
    with pytest.raises(PictureError, match=rf"more than 4,000 bytes, 1,099,511,627,776\..* {LIMIT_VARIABLE}"):
        container.read("2.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_member_unpacks_to_no_more_than_it_declares(tmp_path, method):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("1.png", png() + bytes(50_000_000))
        archive.writestr("2.png", png(7))
    container = ZipContainer(path)
    container._members["1.png"].file_size = 100  # as a directory that lies says
    with pytest.raises(PictureError, match="damaged or encrypted in the zip"):
        container.read("1.png")
    assert container.read("2.png") == png(7)


def test_back_slashes_in_a_zip_are_folders_and_names_that_come_twice_are_counted(tmp_path):
    path = tmp_path / "win.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, level in (("top\\train\\a\\1.png", 1), ("top\\test\\a\\2.png", 2), ("top/train/a/1.png", 3)):
            info = zipfile.ZipInfo("x")
            info.filename = name
            archive.writestr(info, png(level))
        info = zipfile.ZipInfo("x")
        info.filename = "top\\empty\\"
        archive.writestr(info, b"")
    dataset = load_images(path)
    assert dataset.split_names == ["train", "test"]
    assert dataset.split("train").ids == ["train/a/1.png"]
    assert dataset.split("train").source == "win.zip, top/train/"
    assert "another of the same name (1, first 'top/train/a/1.png')" in dataset.note


def test_folders_of_a_zip_are_classes_as_those_of_a_folder_are(make_zip, make_folder, pictures):
    pixels = pictures("owl/1.png", "hen/1.png")
    archive, folder = load_images(make_zip(pixels)), load_images(make_folder(pixels))
    assert archive.classes == folder.classes == ["hen", "owl"]
    assert archive.split("train").sha256 == folder.split("train").sha256


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", b"<html>Virus scan warning</html>", r"a\.zip' cannot be read as a zip: it is an HTML page"),
        ("a.zip", b"", r"cannot be read as a zip: it is empty"),
        ("a.zip", b"PK\x03\x04 and nothing else", r"cannot be read as a zip: File is not a zip file"),
        ("a.tar.gz", b"\x1f\x8b\x08\0", r"is a gzip file, .* Unpack it"),
        ("a.npy", b"\x93NUMPY\x01\0", r"is a NumPy array, .*Dataset\.from_arrays"),
        ("a.h5", b"\x89HDF\r\n\x1a\n", r"is an HDF5 file, .*Dataset\.from_arrays"),
        ("a.png", png(), r"is a PNG picture\. Give a zip"),
    ],
)
def test_a_path_that_holds_no_images_is_called_what_it_is(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DatasetError, match=message) as caught:
        open_container(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_arrays_in_an_npz_are_named_with_a_way_out(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros(3))
    with pytest.raises(DatasetError, match=r"\.npy \(1, first 'x_train\.npy'\)\. Arrays are used from Python"):
        open_container(tmp_path / "a.npz")


def test_shards_are_read_in_natural_order_with_labels_of_their_keys(make_shard):
    make_shard("10.tar", {"c.png": png(3), "c.cls": b"0"})
    folder = make_shard(
        "2.tar", {"a.cls": b"1\n", "a.png": png(1), "a.json": b"{}", "b.png": png(2), "b.cls": b"0"}
    ).parent
    assert content(folder) == [("2/a.png", 1, png(1)), ("2/b.png", 0, png(2)), ("10/c.png", 0, png(3))]


def test_labels_that_some_images_lack_are_said_to_be_lost(make_shard):
    path = make_shard("a.tar", {"1.png": png(1), "1.cls": b"0", "2.png": png(2)})
    _, index = open_images(path)
    assert index.labels is None
    assert index.remarks == ["Labels are not used: 1 of 2 images have no .cls file beside them, first '2.png'."]


def test_a_tar_of_a_folder_has_its_splits_classes_and_dataset_json(make_shard, tmp_path):
    folders = ("train/cat", "train/dog", "test/cat")
    plain = make_shard("a.tar", {f"top/{folder}/1.png": png() for folder in folders})
    done = prepare_images(plain, tmp_path / "ready", size=4)
    assert done.n == {"train": 2, "test": 1}
    ready = load_images(tmp_path / "ready")
    assert ready.classes == ["cat", "dog"]
    assert ready.split("train").labels.tolist() == [0, 1]
    described = make_shard("b.tar", {"top/1.png": png(), "top/dataset.json": b'{"labels": [["1.png", 2]]}'})
    assert load_images(described).split("train").labels.tolist() == [2]


def test_damaged_and_cut_tars_are_named_not_read_as_if_they_ended_there(make_shard):
    path = make_shard("a.tar", {f"{i}.png": png() for i in range(4)})
    whole = path.read_bytes()
    for data in (whole[:2500], whole[:1024] + b"x" * 512 + whole[1536:], b"x" * 600):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=r"Shard '.*a\.tar' is damaged|is text\. Give a zip"):
            open_container(path)
    path.write_bytes(whole)
    assert len(open_container(path).images) == 4


def test_a_compressed_tar_among_shards_is_named(make_shard):
    make_shard("0.tar", {"1.png": png()})
    folder = make_shard("1.tar", {"1.png": png()}, "w:gz").parent
    with pytest.raises(DatasetError, match=r"Shard '.*1\.tar' is damaged: it is a gzip file"):
        open_container(folder)


def test_links_and_sparse_files_in_a_tar_are_counted_not_followed(make_shard):
    path = make_shard("a.tar", {"1.png": png()})
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("2.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert load_images(path).note == "1 file is not used: links, devices and sparse files (1, first '2.png')."


def test_a_header_that_announces_gigabytes_of_names_is_refused(make_shard):
    path = make_shard("a.tar", {"1.png": png()})
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 5 << 30
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + path.read_bytes())
    with pytest.raises(DatasetError, match="a header announces 5,368,709,120 bytes"):
        open_container(path)


@pytest.mark.parametrize("number", [b"cat", b"-1", b"", b"9" * 5000])
def test_a_cls_file_holds_a_class_number(make_shard, number):
    path = make_shard("0.tar", {"a.png": png(), "a.cls": number})
    with pytest.raises(DatasetError, match=r"'a\.cls' in 0\.tar holds '.*'; a \.cls file holds a class number"):
        open_container(path)


def test_a_class_number_beyond_all_classes_is_refused(make_shard):
    with pytest.raises(DatasetError, match=r"holds 10000000000; classes are numbered up to 99999"):
        open_images(make_shard("0.tar", {"a.png": png(), "a.cls": b"10000000000"}))


def test_images_beside_shards_are_ambiguous(make_shard):
    folder = make_shard("0.tar", {"a.png": png()}).parent
    (folder / "1.png").write_bytes(png())
    with pytest.raises(DatasetError, match=r"both images \(first '1\.png'\) and \.tar shards \(first '0\.tar'\)"):
        open_container(folder)


def test_an_lmdb_gives_its_values_and_a_cut_one_is_refused(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    for name in ("whole", "cut"):
        with lmdb.open(str(tmp_path / name)) as environment, environment.begin(write=True) as transaction:
            transaction.put(b"00b", png(2))
            transaction.put(b"00a", png(1))
    assert content(tmp_path / "whole") == [("00a", None, png(1)), ("00b", None, png(2))]
    assert len(load_images(tmp_path / "whole").split("train")) == 2
    os.truncate(tmp_path / "cut" / "data.mdb", 8192)
    with pytest.raises(DatasetError, match=r"cut' is cut off: 8,192 of [\d,]+ bytes"):
        open_container(tmp_path / "cut")


def test_a_source_that_is_not_there_or_empty_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"'.*nowhere' does not exist"):
        open_container(tmp_path / "nowhere")
    for name in ("a" * 300, f"./{'a' * 300}"):
        with pytest.raises(DcganAnalysisError, match=r"does not exist|Unknown dataset"):
            load_dataset(name, data_root=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"holds no images .* no .tar shards and no LMDB"):
        open_container(tmp_path / "empty")

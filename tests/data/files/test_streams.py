from __future__ import annotations

import io
import tarfile

import pytest

from dcgan_analysis.data.files.streams import open_stream
from dcgan_analysis.errors import DatasetError


@pytest.fixture
def make_shard(tmp_path):
    """Write a .tar of files in the order given: name -> bytes."""

    def make(name, files):
        path = tmp_path / "shards" / name
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w") as archive:
            for file, data in files.items():
                member = tarfile.TarInfo(file)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return path.parent

    return make


def content(images):
    return [(image.name, image.label, image.read()) for image in images]


def test_a_zip_and_a_folder_give_names_labels_and_bytes_in_the_order_of_the_dataset(make_zip, make_folder, pictures):
    pixels = pictures("train/owl/10.png", "train/owl/2.png", "train/hen/1.png")
    archive = open_stream(make_zip(pixels, {"labels": [[name, i] for i, name in enumerate(pixels)]}))
    folder = open_stream(make_folder(pixels))

    assert [(image.name, image.label) for image in archive.start(0)] == [(name, i) for i, name in enumerate(pixels)]
    assert [(image.name, image.label) for image in folder.start(0)] == [
        ("train/hen/1.png", 0),
        ("train/owl/2.png", 1),
        ("train/owl/10.png", 1),
    ]
    assert (folder.n, folder.classes) == (3, ["hen", "owl"])


def test_shards_are_read_in_natural_order_with_the_files_of_a_key_together(make_shard):
    make_shard("10.tar", {"c.png": b"C", "c.cls": b"0"})
    folder = make_shard("2.tar", {"a.cls": b"1\n", "a.png": b"A", "a.json": b"{}", "b.jpg": b"B"})

    stream = open_stream(folder)

    assert content(stream.start(0)) == [("2/a.png", 1, b"A"), ("2/b.jpg", None, b"B"), ("10/c.png", 0, b"C")]
    assert content(stream.start(2)) == [("10/c.png", 0, b"C")]


def test_an_lmdb_gives_its_values(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    with lmdb.open(str(tmp_path / "bedroom_train_lmdb")) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"00b", b"second")
        transaction.put(b"00a", b"first")

    stream = open_stream(tmp_path / "bedroom_train_lmdb")

    assert stream.n == 2
    assert content(stream.start(0)) == [("00a", None, b"first"), ("00b", None, b"second")]
    assert content(stream.start(1)) == [("00b", None, b"second")]


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_going_on_at_a_position_leaves_out_what_came_before(make_zip, pictures, position):
    stream = open_stream(make_zip(pictures("1.png", "2.png", "3.png")))
    assert content(stream.start(position)) == content(stream.start(0))[position:]


def test_bad_sources_are_named(tmp_path, make_shard):
    with pytest.raises(DatasetError, match=r"'.*nowhere' does not exist"):
        open_stream(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"holds no images .* no .tar shards and no LMDB"):
        open_stream(tmp_path / "empty")
    folder = make_shard("0.tar", {"a.png": b"A", "a.cls": b"cat"})
    with pytest.raises(DatasetError, match=r"'a.cls' in 0.tar holds 'cat'; a .cls file holds a class number"):
        list(open_stream(folder).start(0))
    whole = (folder / "0.tar").read_bytes()
    (folder / "0.tar").write_bytes(b"no tar at all" + whole[:100])
    with pytest.raises(DatasetError, match=r"Shard '.*0.tar' is damaged"):
        list(open_stream(folder).start(0))

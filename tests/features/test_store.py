from __future__ import annotations

import errno
import logging
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from dcgan_analysis.core.files import lock_path
from dcgan_analysis.errors import StoreError, UnknownNameError
from dcgan_analysis.features import store as module
from dcgan_analysis.features.format import part_path, unreadable_path
from dcgan_analysis.features.store import FeatureStore, default_chunk_rows

# Python 3.12 warns of forks where native threads run; the children here start none.
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_written_is_read(write_store, features, make_key, tmp_path, dtype):
    store = FeatureStore(write_store(tmp_path / "store.h5", dtype))
    assert (store.shape, store.dtype, len(store), store.chunk_rows) == ((23, 80), dtype, 23, 5)
    assert store.key == make_key(store_dtype=str(dtype).removeprefix("torch."))
    assert store.split == "train"
    assert torch.equal(store.read(0, 23), features.to(dtype))
    assert store.ids == [f"image-{i}" for i in range(23)]
    assert store.classes == ["cat", "dog", "ship"]
    assert store.labels.tolist() == [i % 3 for i in range(23)]
    assert store.groups.tolist() == [i // 2 for i in range(23)]
    store.verify()


def test_labels_and_groups_may_be_absent(write_store, tmp_path):
    store = FeatureStore(write_store(tmp_path / "store.h5", labels=None, groups=None, classes=()))
    assert (store.labels, store.groups, store.classes) == (None, None, [])


def test_each_tap_is_a_slice_of_the_columns(write_store, features, tmp_path):
    store = FeatureStore(write_store(tmp_path / "store.h5"))
    assert store.taps == {"conv1": slice(0, 32), "conv2": slice(32, 80)}
    assert store.tap_shapes == {"conv1": (2, 4, 4), "conv2": (3, 4, 4)}
    rows = store.rows(store.taps["conv2"])
    assert (rows.shape, rows.dtype, rows.chunk_rows) == ((23, 48), torch.float32, 5)
    assert torch.equal(rows.read(3, 12), features[3:12, 32:])
    assert torch.equal(store.rows().read(3, 12), features[3:12])


def test_reading_is_a_view_of_the_file_without_copies(write_store, tmp_path):
    store = FeatureStore(write_store(tmp_path / "store.h5"))
    whole = store.read(0, 23)
    assert whole.data_ptr() % 64 == 0
    for start, stop in ((0, 5), (7, 9), (3, 17)):
        view = store.rows(slice(8, 16)).read(start, stop)
        assert view.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
        assert view.data_ptr() == whole.data_ptr() + (start * 80 + 8) * 4


def test_pages_that_were_given_back_for_lack_of_memory_are_read_again_as_they_were(
    write_store, features, tmp_path, monkeypatch
):
    store = FeatureStore(write_store(tmp_path / "store.h5"))
    view, given = store.read(0, 23), []
    monkeypatch.setattr(module, "memory_is_full", lambda: given.append(1) or True)
    assert torch.equal(store.read(5, 10), features[5:10])
    assert given
    assert torch.equal(view, features)


def test_chunks_that_are_not_neighbours_in_the_file_read_the_same(write_store, features, tmp_path):
    # Another writer, such as h5repack, may place chunks where it likes.
    path, moved = write_store(tmp_path / "store.h5"), tmp_path / "moved.h5"
    with h5py.File(path, "r") as source, h5py.File(moved, "w", libver="latest") as file:
        file.attrs.update(source.attrs)
        for name in source:
            if name != "features":
                source.copy(name, file)
        copy = file.create_dataset("features", (23, 80), "<f4", chunks=(5, 80), maxshape=(None, 80))
        copy.attrs.update(source["features"].attrs)
        for start in (20, 0, 15, 5, 10):
            copy[start : start + 5] = source["features"][start : start + 5]
            file.flush()
    store = FeatureStore(moved)
    assert torch.equal(store.read(0, 23), features)
    assert torch.equal(store.read(4, 16), features[4:16])
    inside = store.read(6, 9)
    assert inside.untyped_storage().nbytes() > inside.nbytes
    store.verify()


def test_compressed_features_are_refused(write_store, tmp_path):
    path = write_store(tmp_path / "store.h5")
    with h5py.File(path, "r+") as file:
        attributes, values = dict(file["features"].attrs), file["features"][:]
        del file["features"]
        file.create_dataset("features", data=values, chunks=(5, 80), compression="gzip")
        file["features"].attrs.update(attributes)
    with pytest.raises(StoreError, match="not stored in unfiltered chunks"):
        FeatureStore(path)


@pytest.mark.parametrize("chunk_rows", [1, 4, 23, 100, None])
def test_the_size_of_chunks_does_not_change_what_is_read(write_store, features, tmp_path, chunk_rows):
    store = FeatureStore(write_store(tmp_path / "store.h5", chunk_rows=chunk_rows))
    assert torch.equal(store.read(0, 23), features)


def test_several_chunks_may_be_written_at_once(open_writer, features, tmp_path):
    with open_writer(tmp_path / "store.h5") as writer:
        writer.write(10, features[10:])
        assert writer.missing == [range(5), range(5, 10)]
        writer.write(0, features[:10])
    store = FeatureStore(tmp_path / "store.h5")
    assert torch.equal(store.read(0, 23), features)
    store.verify()


def test_numpy_gives_float32_of_chosen_rows_and_taps(write_store, features, tmp_path):
    store = FeatureStore(write_store(tmp_path / "store.h5", torch.bfloat16))
    full = features.to(torch.bfloat16).float().numpy()
    assert store.numpy().dtype == np.float32
    assert np.array_equal(store.numpy(), full)
    picked = np.array([20, 3, 4, 5, 4, 22])
    assert np.array_equal(store.numpy(picked, ["conv2"]), full[picked][:, 32:])
    swapped = np.hstack([full[2:9, 32:], full[2:9, :32]])
    assert np.array_equal(store.numpy(slice(2, 9), ["conv2", "conv1"]), swapped)
    assert np.array_equal(store.numpy(store.labels == 1), full[store.labels == 1])
    assert store.numpy(slice(0, 0)).shape == (0, 80)


def test_requests_outside_the_store_are_refused(write_store, tmp_path):
    store = FeatureStore(write_store(tmp_path / "store.h5"))
    for start, stop in ((-1, 3), (3, 3), (20, 24)):
        with pytest.raises(StoreError, match="has 23 rows, asked for"):
            store.read(start, stop)
    with pytest.raises(StoreError, match="80 columns"):
        store.rows(slice(80, 90))
    with pytest.raises(UnknownNameError, match="Did you mean 'conv2'"):
        store.numpy(taps=["conv3"])


@FORKS
def test_a_store_survives_pickling_and_forking(write_store, features, tmp_path):
    store = FeatureStore(write_store(tmp_path / "store.h5"))
    assert torch.equal(pickle.loads(pickle.dumps(store)).read(2, 9), features[2:9])
    rows = pickle.loads(pickle.dumps(store.rows(slice(3, 5))))
    assert torch.equal(rows.read(2, 9), features[2:9, 3:5])

    def compare(start, answers):
        answers.put(bool(torch.equal(store.read(start, start + 4), features[start : start + 4])))

    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    workers = [fork.Process(target=compare, args=(start, answers)) for start in range(0, 16, 2)]
    for worker in workers:
        worker.start()
    assert all(answers.get() for _ in workers)
    for worker in workers:
        worker.join()


def test_a_file_that_is_absent_foreign_or_truncated_is_refused(write_store, tmp_path):
    with pytest.raises(StoreError, match=r"absent.h5' does not exist"):
        FeatureStore(tmp_path / "absent.h5")
    text = tmp_path / "text.h5"
    text.write_text("hello")
    with pytest.raises(StoreError, match="is not an HDF5 file"):
        FeatureStore(text)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="not a feature store: / has no encoding-type"):
        FeatureStore(tmp_path / "other.h5")
    path = write_store(tmp_path / "store.h5")
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 100, 9):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="is damaged or truncated") as caught:
            FeatureStore(path)
        assert "\n" not in str(caught.value)


def test_verify_names_the_first_damaged_chunk(write_store, tmp_path):
    path = write_store(tmp_path / "store.h5")
    with h5py.File(path, "r+") as file:
        file["features"][12, 7] += 1
        file["features"][20, 0] += 1
    with pytest.raises(StoreError, match=r"chunk 2 of /features \(rows 10 to 15\) has CRC-32"):
        FeatureStore(path).verify()


@pytest.mark.parametrize("name", ["labels", "groups", "taps/columns"])
def test_verify_names_a_damaged_array(write_store, tmp_path, name):
    path = write_store(tmp_path / "store.h5")
    with h5py.File(path, "r+") as file:
        file[name][1] = 9
    with pytest.raises(StoreError, match=f"/{name} does not have the recorded SHA-256"):
        FeatureStore(path).verify()


def test_verify_names_damaged_ids(write_store, tmp_path):
    path = write_store(tmp_path / "store.h5")
    with h5py.File(path, "r+") as file:
        file["ids"][3] = "another"
    with pytest.raises(StoreError, match="/ids does not have the recorded SHA-256"):
        FeatureStore(path).verify()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused(open_writer, features, tmp_path, value):
    features[6, 40] = value
    features[8, 3] = value
    message = rf"'image-6' has the feature {value} at tap 'conv2'"
    with open_writer(tmp_path / "store.h5") as writer:
        writer.write(0, features[:5])
        with pytest.raises(StoreError, match=message):
            writer.write(5, features[5:15])
        assert [rows.start for rows in writer.missing] == [5, 10, 15, 20]
        writer.write(5, torch.zeros(18, 80))


def test_numbers_beyond_the_range_of_float16_are_refused(open_writer, features, tmp_path):
    features[0, 0] = 1e6
    with (
        pytest.raises(StoreError, match=r"has the feature inf at tap 'conv1'.*larger range"),
        open_writer(tmp_path / "store.h5", torch.float16) as writer,
    ):
        writer.write(0, features[:5])


def test_parts_of_chunks_and_other_shapes_are_refused(open_writer, features, tmp_path):
    with open_writer(tmp_path / "store.h5") as writer:
        for start, rows in (
            (0, features[:4]),
            (1, features[:5]),
            (20, features[:5]),
            (0, features[:5, :79]),
        ):
            with pytest.raises(StoreError, match="takes whole chunks of 5 rows"):
                writer.write(start, rows)
        assert len(writer.missing) == 5
        writer.write(0, features)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": torch.float64}, "dtype is float64"),
        ({"dtype": torch.float16}, "dtype is float16, its key says float32"),
        ({"taps": {"conv1": (5, 4, 4)}}, "taps are conv1, its key says conv1, conv2"),
        ({"taps": {"conv1": (2, 4, 4), "conv2": (0, 4, 4)}}, "sizes >= 1"),
        ({"n": 22}, "got 23 ids for 22 rows"),
        ({"labels": [0]}, "got 1 labels for 23 rows"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(open_writer, make_key, tmp_path, change, message):
    with (
        pytest.raises(StoreError, match=message),
        open_writer(tmp_path / "store.h5", **({"key": make_key()} | change)),
    ):
        pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_store_resumes_at_the_first_missing_chunk(
    interrupt_after, open_writer, features, write_store, tmp_path
):
    path = tmp_path / "store.h5"
    interrupt_after(path, 10)
    assert not path.exists()
    with pytest.raises(StoreError, match="half-written: 2 of 5 chunks"):
        FeatureStore(part_path(path))
    with open_writer(path) as writer:
        assert "resumed" in writer.note
        assert [rows.start for rows in writer.missing] == [10, 15, 20]
        with pytest.raises(StoreError, match="rows 5 to 15 some are already written"):
            writer.write(5, features[5:15])
        writer.write(10, features[10:])
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == write_store(tmp_path / "at-once.h5").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"weights_sha256": "other"}, "weights_sha256"), ({}, "rows or chunk size")],
)
def test_a_half_written_store_of_another_plan_is_discarded(
    interrupt_after, open_writer, features, make_key, tmp_path, caplog, change, message
):
    path = tmp_path / "store.h5"
    interrupt_after(path, 10)
    with (
        caplog.at_level(logging.WARNING),
        open_writer(path, key=make_key(**change), ids=["x"] * 23) as writer,
    ):
        assert len(writer.missing) == 5
        writer.write(0, features)
    assert f"begun anew, its half-written file differs in {message}" in caplog.text
    assert FeatureStore(path).ids == ["x"] * 23


def test_a_half_written_file_that_does_not_open_is_set_aside(write_store, tmp_path, caplog):
    path = tmp_path / "store.h5"
    part_path(path).write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    (tmp_path / ".store.h5.part.77-abcd.part").touch()
    with caplog.at_level(logging.WARNING):
        FeatureStore(write_store(path)).verify()
    assert "set aside" in caplog.text
    assert set(tmp_path.iterdir()) == {path, unreadable_path(path)}


def test_a_complete_store_is_replaced_only_when_asked(write_store, features, tmp_path):
    path = write_store(tmp_path / "store.h5")
    before = FeatureStore(path)
    with pytest.raises(StoreError, match=r"store.h5 exists\. Read it"):
        write_store(path)
    write_store(path, replace=True, ids=["x"] * 23)
    assert FeatureStore(path).ids == ["x"] * 23
    assert torch.equal(before.read(0, 23), features)


@FORKS
def test_a_store_resumes_after_kills_at_random_moments(open_writer, tmp_path):
    path, features = tmp_path / "store.h5", torch.arange(23.0 * 80).reshape(23, 80)

    def extract():
        with open_writer(path, replace=True) as writer:
            for rows in writer.missing:
                time.sleep(0.01)
                writer.write(rows.start, features[rows.start : rows.stop])

    fork, moment, killed = multiprocessing.get_context("fork"), random.Random(0), 0
    for _ in range(8):
        process = fork.Process(target=extract)
        process.start()
        process.join(moment.uniform(0, 0.2))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    assert killed
    if not path.exists():
        extract()
    FeatureStore(path).verify()
    with open_writer(tmp_path / "whole.h5") as writer:
        writer.write(0, features)
    assert path.read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_write_that_was_torn_on_a_full_disk_does_not_count(
    interrupt_after, open_writer, features, tmp_path, monkeypatch
):
    path, pwrite = tmp_path / "store.h5", os.pwrite

    def half_then_full(stream, data, offset):
        if len(data) == 5 * 80 * 4:
            return pwrite(stream, data[:100], offset)
        raise OSError(errno.ENOSPC, "No space left on device")

    interrupt_after(path, 5)
    with open_writer(path) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", half_then_full)
            with pytest.raises(StoreError, match=r"No space left .*: 5,760 bytes needed, .* free"):
                writer.write(5, features[5:10])
        assert [rows.start for rows in writer.missing] == [5, 10, 15, 20]
        writer.write(5, features[5:])
    assert torch.equal(FeatureStore(path).read(0, 23), features)


def test_a_disk_that_refuses_the_layout_is_an_error_and_not_the_end_of_the_process(open_writer, tmp_path, small_files):
    with (
        small_files(200),
        pytest.raises(StoreError, match=r"cannot be written \(File too large\)"),
        open_writer(tmp_path / "store.h5"),
    ):
        pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(open_writer, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=7359)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with (
        pytest.raises(StoreError, match=r"too small\): 7,360 bytes needed, 7,359 free"),
        open_writer(tmp_path / "store.h5"),
    ):
        pytest.fail("it was opened")
    assert list(tmp_path.iterdir()) == []


def test_chunks_are_about_32_mebibytes_and_powers_of_two():
    assert default_chunk_rows(28672, torch.bfloat16) == 512
    assert default_chunk_rows(28672, torch.float32) == 256
    assert default_chunk_rows(16, torch.float32) == 8192
    assert default_chunk_rows(1 << 30, torch.float32) == 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_documents_bare_h5py_example_reads_a_store(write_store, features, tmp_path, dtype, monkeypatch):
    write_store(tmp_path / "store.h5", dtype)
    monkeypatch.chdir(tmp_path)
    document = Path(__file__).parents[2] / "docs" / "store-format.md"
    found = {}
    exec(document.read_text(encoding="utf-8").split("```python\n")[2].split("```")[0], found)
    assert np.array_equal(found["x"], features.to(dtype).float().numpy()[:, 32:])
    assert found["y"].tolist() == [i % 3 for i in range(23)]


def test_a_heap_in_which_hdf5_would_go_round_for_ever_is_refused(write_store, tmp_path):
    content = bytearray(write_store(tmp_path / "a.h5").read_bytes())
    heap = content.index(b"GCOL")
    at = heap + 16
    while content[at : at + 2] != b"\0\0":
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(StoreError, match=rf"damaged or truncated \(the heap at byte {heap:,} has free space of size 0"):
        FeatureStore(tmp_path / "a.h5")


@FORKS
def test_a_second_writer_is_told_who_holds_the_store(start_writer, open_writer, tmp_path):
    path = tmp_path / "store.h5"
    process = start_writer(path)
    message = f"is being written by process {process.pid} on .* since .*Wait for it, or stop it"
    with pytest.raises(StoreError, match=message), open_writer(path):
        pytest.fail("two writers")
    process.kill()
    process.join()
    assert lock_path(path).exists()
    with open_writer(path) as writer:
        assert len(writer.missing) == 5
        writer.write(0, torch.zeros(23, 80))


def test_a_store_shows_itself_in_a_few_lines(tiny_store):
    assert repr(tiny_store).splitlines() == [
        "FeatureStore of 60 x 1,792 features",
        "  type: float32",
        "  taps: conv1 8x4x4, conv2 8x4x4, conv3 16x4x4, conv4 16x4x4, conv5 32x4x4, conv6 32x4x4",
        "  labels: 3 classes",
        "  split: train",
        f"  network: dcgan32, sha256 {tiny_store.key.weights_sha256[:12]}",
        f"  path: {tiny_store.path}",
    ]
    assert tiny_store._repr_html_().count("<tr>") == 6

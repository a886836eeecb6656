from __future__ import annotations

import os
import platform
from datetime import timedelta

import numpy as np
import pytest

from dcgan_analysis.core import files
from dcgan_analysis.core.files import writer_lock
from dcgan_analysis.core.folders import cache_folder
from dcgan_analysis.errors import StoreError
from dcgan_analysis.features.cache import collect_garbage, explain, find, list_entries, list_folders, path_for
from dcgan_analysis.features.format import Difference, part_path
from dcgan_analysis.features.outcomes import find_outcome, keep_outcome


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path))
    return tmp_path


def used(path, when):
    os.utime(path, (when, when))
    return path


def test_folder_is_the_platforms_own_unless_the_environment_names_one(cache, monkeypatch):
    assert cache_folder() == cache
    monkeypatch.delenv("DCGAN_ANALYSIS_CACHE")
    assert cache_folder().name == "dcgan-analysis"


def test_a_written_store_is_found_by_its_key_and_no_other(write_store, make_key, cache):
    key = make_key()
    assert find(key) is None
    path = write_store(path_for(key))
    assert path == cache / "features" / f"{key.sha256[:16]}.h5"
    assert find(key).key == key
    assert find(make_key(weights_sha256="other")) is None


def test_finding_a_store_makes_it_the_last_used(write_store, make_key):
    old, new = make_key(), make_key(split="test")
    used(write_store(path_for(old), key=old), 1000)
    used(write_store(path_for(new), key=new), 2000)
    assert [entry.key.split for entry in list_entries()] == ["test", "train"]
    find(old)
    assert [entry.key.split for entry in list_entries()] == ["train", "test"]


def test_a_file_under_another_keys_name_is_refused(write_store, make_key):
    write_store(path_for(make_key(split="test")))
    with pytest.raises(StoreError, match=r"of another key \(split differ\)"):
        find(make_key(split="test"))


def test_explain_gives_the_nearest_entry_and_its_differences(write_store, make_key):
    assert explain(make_key()) is None
    near, far = make_key(code_version=2), make_key(split="test", weights_sha256="x")
    write_store(path_for(near), key=near)
    write_store(path_for(far), key=far)
    entry, differences = explain(make_key())
    assert entry.key == near
    assert differences == [Difference("code_version", 1, 2)]
    assert explain(near)[1] == []


def test_explain_can_leave_out_the_store_itself(write_store, make_key):
    own = write_store(path_for(make_key()))
    assert explain(make_key(), exclude=own) is None
    other = make_key(split="test")
    write_store(path_for(other), key=other)
    entry, differences = explain(make_key(), exclude=own)
    assert entry.key == other
    assert [item.part for item in differences] == ["split"]


def test_an_unreadable_file_is_listed_with_its_problem(make_key):
    path = path_for(make_key())
    path.parent.mkdir()
    path.write_bytes(b"not a store")
    (entry,) = list_entries()
    assert entry.key is None
    assert "not an HDF5 file" in entry.problem
    assert explain(make_key()) is None


def test_garbage_by_size_removes_what_was_not_used_for_longest(write_store, make_key):
    keys = [make_key(code_version=version) for version in range(3)]
    paths = [used(write_store(path_for(key), key=key), 1000 + i) for i, key in enumerate(keys)]
    size = paths[0].stat().st_size
    assert collect_garbage(max_bytes=2 * size) == [paths[0]]
    assert collect_garbage(max_bytes=0) == [paths[2], paths[1]]
    assert list_entries() == []


def test_garbage_by_age_keeps_what_was_used_since(write_store, make_key):
    keys = [make_key(code_version=version) for version in range(2)]
    old, new = [write_store(path_for(key), key=key) for key in keys]
    used(old, 1000)
    assert collect_garbage(older_than=timedelta(days=1)) == [old]
    assert new.exists()


def test_garbage_without_limits_removes_leftovers_alone(write_store, open_writer, make_key):
    path = write_store(path_for(make_key()))
    half = path_for(make_key(split="test"))
    with pytest.raises(StoreError, match="half-written"), open_writer(half):
        pass
    aside = path.with_name("0123.h5.unreadable")
    aside.touch()
    layout = path.with_name(".0123.h5.part.77-abcd.part")
    layout.touch()
    assert set(collect_garbage()) == {part_path(half), aside, layout}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_garbage_never_touches_a_store_that_is_being_written(start_writer, make_key):
    path = path_for(make_key())
    process = start_writer(path)
    assert collect_garbage(max_bytes=0) == []
    assert part_path(path).exists()
    process.kill()
    process.join()
    assert collect_garbage() == [part_path(path)]


HASHES = ["0" * 16, "0123456789abcdef", "f" * 16]


@pytest.fixture
def kept(cache):
    """Outcomes and searches of three kinds, of 10 bytes each, the first of each kind old; and files of strangers."""
    paths = []
    for kind, end in (("dictionaries", "safetensors"), ("neighbours", "npz"), ("of-a-plugin", "safetensors")):
        (cache / kind).mkdir()
        for name in (f"{HASHES[0]}.{end}", f".{HASHES[1]}.{end}.7-0.part", f"{HASHES[2]}.{end}"):
            paths.append(cache / kind / name)
            paths[-1].write_bytes(b"1234567890")
        for path in paths[-3:-1]:
            used(path, 1000)
    for stranger in ("neighbours/notes.txt", "of-a-plugin/model.safetensors", "0" * 16 + ".npz"):
        (cache / stranger).write_bytes(b"")
        used(cache / stranger, 1000)
    return paths


def test_what_is_kept_beside_the_stores_is_listed_by_kind(kept, write_store, make_key):
    write_store(path_for(make_key()))
    found = list_folders()
    assert [(each.kind, each.files, each.size) for each in found] == [
        ("dictionaries", 3, 30),
        ("neighbours", 3, 30),
        ("of-a-plugin", 3, 30),
    ]
    assert found[0].last_used.timestamp() == pytest.approx(kept[2].stat().st_mtime, abs=1e-3)
    assert len(list_entries()) == 1


def test_outcomes_and_searches_not_used_for_long_are_removed_by_age(kept, cache):
    strangers = {path for path in cache.rglob("*") if path.is_file()} - set(kept)
    assert len(strangers) == 3
    assert set(collect_garbage(older_than=timedelta(days=1))) == {*kept[0:2], *kept[3:5], *kept[6:8]}
    assert {path for path in cache.rglob("*") if path.is_file()} == {kept[2], kept[5], kept[8], *strangers}


def test_finding_an_outcome_makes_it_used(cache):
    path = used(keep_outcome("trials", {"a": 1}, {"x": np.array([1])}), 1000)
    assert find_outcome("trials", {"a": 1}) is not None
    assert collect_garbage(older_than=timedelta(days=1)) == []
    assert path.exists()


def test_decoded_images_are_listed_and_removed_by_age_but_not_while_they_are_written(cache):
    old, new, written = (cache / "images" / name for name in ("0" * 16, "1" * 16, "2" * 16 + ".part"))
    for folder in (old, new, written, cache / "images" / "mine"):
        folder.mkdir(parents=True)
        (folder / "train.u8").write_bytes(bytes(10))
    for folder in (old, written):
        used(folder, 1000)
    (found,) = list_folders()
    assert (found.kind, found.files, found.size) == ("images", 3, 30)
    with writer_lock(written.with_suffix(""), "Images"):
        assert collect_garbage(older_than=timedelta(days=1)) == [old]
    assert collect_garbage(older_than=timedelta(days=1)) == [written]
    assert {path.name for path in (cache / "images").iterdir()} == {"1" * 16, "mine"}


def test_garbage_by_size_counts_every_kind_the_last_used_is_kept(kept, cache):
    whole = [path for path in kept if not path.name.startswith(".")]
    for second, path in enumerate(whole):
        used(path, 1000 + second)
    assert set(collect_garbage(max_bytes=30)) == set(whole[:3])
    assert set(collect_garbage(max_bytes=0)) == set(whole[3:])


def test_what_killed_processes_left_is_removed_in_every_folder_of_the_cache(cache):
    host = files._host()
    for kind in ("trials", "images", "features"):
        (cache / kind).mkdir(parents=True)
        (cache / kind / f".{'0' * 16}.safetensors.99999999-{host}-01234567.part").touch()
        (cache / kind / f"{'0' * 16}.lock").write_text(f"process 99999999 on {platform.node()} since 2026-01-01")
    assert len(collect_garbage()) == 6
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_garbage_by_size_counts_stores_and_decoded_images_together(write_store, make_key, cache):
    key = make_key()
    store = write_store(path_for(key), key=key)
    old, new = (cache / "images" / (digit * 16) for digit in "01")
    for folder, day in ((old, 1), (new, 3)):
        folder.mkdir(parents=True)
        (folder / "images.u8").write_bytes(b"x" * 10)
        used(folder, 1000 * day)
    used(store, 2000)

    assert collect_garbage(max_bytes=store.stat().st_size + 10) == [old]
    assert collect_garbage(max_bytes=10) == [store]
    assert collect_garbage(max_bytes=10) == []
    assert new.is_dir()

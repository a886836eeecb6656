from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from dcgan_analysis.core.files import atomic_folder, atomic_path, lock_path, write_text, writer_lock
from dcgan_analysis.errors import TrainingError


class Interrupted(BaseException):
    """Stands for Ctrl-C."""


def write_half(manager, path, **arguments):
    """Write one thing into what a manager yields, then be interrupted."""

    def write():
        with manager(path, **arguments) as temporary:
            assert temporary.parent == path.parent
            (temporary / "half" if temporary.is_dir() else temporary).write_text("half")
            raise Interrupted

    with pytest.raises(Interrupted):
        write()


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"

    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()

    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_file_leaves_nothing(tmp_path):
    write_half(atomic_path, tmp_path / "a.txt")

    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    write_half(atomic_path, path)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_replaces_the_old_one_and_leaves_its_readers_alone(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"

    assert path.read_text() == "new"


def test_a_file_reaches_the_disk_before_its_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda stream: (events.append("fsync"), fsync(stream)))
    monkeypatch.setattr(Path, "replace", lambda *arguments: (events.append("rename"), replace(*arguments)))

    write_text(tmp_path / "a.txt", "whole")

    assert events == ["fsync", "rename"]


def test_a_block_that_writes_nothing_is_an_error_and_changes_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass

    assert path.read_text() == "old"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")

    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "ä ≤")

    assert (tmp_path / "a.txt").read_bytes() == "ä ≤".encode()


def test_a_folder_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "run"

    with atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text("whole")
        assert not path.exists()

    assert [file.name for file in path.iterdir()] == ["a.txt"]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("replace", [False, True])
def test_an_interrupted_folder_leaves_nothing(tmp_path, replace):
    write_half(atomic_folder, tmp_path / "run", replace=replace)

    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / "old.txt").write_text("old")
    return path


def assert_untouched(finished):
    assert [file.read_text() for file in finished.iterdir()] == ["old"]
    assert list(finished.parent.iterdir()) == [finished]


def test_an_existing_folder_is_refused_before_any_work(finished):
    with pytest.raises(FileExistsError), atomic_folder(finished):
        pytest.fail("the block must not run")

    assert_untouched(finished)


def test_an_interrupted_replacement_leaves_the_old_folder(finished):
    write_half(atomic_folder, finished, replace=True)

    assert_untouched(finished)


def test_a_folder_is_replaced_as_a_whole(finished):
    with atomic_folder(finished, replace=True) as temporary:
        (temporary / "new.txt").write_text("new")

    assert [file.name for file in finished.iterdir()] == ["new.txt"]
    assert list(finished.parent.iterdir()) == [finished]


def test_a_folder_that_appeared_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "run"

    def race():
        with atomic_folder(path) as temporary:
            (temporary / "new.txt").write_text("new")
            path.mkdir()
            (path / "old.txt").write_text("old")

    with pytest.raises(FileExistsError):
        race()
    assert_untouched(path)


def test_a_replacement_that_fails_half_way_puts_the_old_folder_back(finished, monkeypatch):
    rename = Path.rename

    def fail_second(source, target):
        if target == finished and (source / "new.txt").exists():
            raise PermissionError(13, "Permission denied")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", fail_second)
    with pytest.raises(PermissionError), atomic_folder(finished, replace=True) as temporary:
        (temporary / "new.txt").write_text("new")

    assert_untouched(finished)


def test_a_file_may_be_read_by_whom_the_umask_allows_whatever_its_writer_does(tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    with atomic_path(tmp_path / "file") as temporary:
        temporary.touch(mode=0o600)
    assert (tmp_path / "file").stat().st_mode == ordinary.stat().st_mode


def test_a_lock_is_refused_while_it_is_held_and_the_message_names_work_and_holder(tmp_path):
    path = tmp_path / "state.safetensors"
    with (
        writer_lock(path, "Training 'faces'", TrainingError),
        pytest.raises(TrainingError, match=r"^Training 'faces' is being written by process \d+ on .* since 2"),
        writer_lock(path, "Training 'faces'", TrainingError),
    ):
        pytest.fail("the lock was given twice")
    assert not lock_path(path).exists()
    with writer_lock(path, "Training 'faces'"):
        assert lock_path(path).exists()


def test_a_lock_can_be_waited_for(tmp_path):
    path, order = tmp_path / "images", []

    def second():
        with writer_lock(path, "Images", wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with writer_lock(path, "Images"):
        thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join(timeout=10)
    assert order == ["first", "second"]

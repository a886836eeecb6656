from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from dcgan_analysis.core import files
from dcgan_analysis.core.files import (
    abandoned,
    atomic_folder,
    atomic_path,
    lock_path,
    scratch_folder,
    sweep,
    write_text,
    writer_lock,
)
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


@pytest.fixture
def two_steps(monkeypatch):
    """Stand for a file system that cannot exchange two names."""
    monkeypatch.setattr(files, "_exchanged", lambda one, other: False)


def replace_by_new(path):
    with atomic_folder(path, replace=True) as temporary:
        (temporary / "new.txt").write_text("new")


def test_a_folder_is_never_absent_while_it_is_replaced(finished, monkeypatch):
    def no_rename(*_):
        pytest.fail("old and new must be exchanged in one step")

    for module, name in ((Path, "rename"), (Path, "replace"), (os, "rename"), (os, "replace")):
        monkeypatch.setattr(module, name, no_rename)
    replace_by_new(finished)
    assert [file.name for file in finished.iterdir()] == ["new.txt"]
    assert list(finished.parent.iterdir()) == [finished]


def test_a_folder_is_replaced_where_names_cannot_be_exchanged(finished, two_steps):
    replace_by_new(finished)
    assert [file.name for file in finished.iterdir()] == ["new.txt"]
    assert list(finished.parent.iterdir()) == [finished]


def test_a_kill_between_the_two_steps_is_mended_by_the_next_command(finished, two_steps):
    child = os.fork()
    if not child:
        rename = Path.rename

        def kill_second(source, target):
            if (source / "new.txt").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            return rename(source, target)

        Path.rename = kill_second
        replace_by_new(finished)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert not finished.exists()
    assert len(list(finished.parent.iterdir())) == 2  # the old folder, and the new one

    sweep(finished.parent)

    assert_untouched(finished)


def killed_while_writing(path):
    """Let a process take the lock of a path, begin a file and a folder there, and be killed."""
    child = os.fork()
    if not child:
        with writer_lock(path, "It"), atomic_path(path) as file, atomic_folder(path.with_name("other")) as folder:
            file.write_text("half")
            (folder / "half").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_what_a_killed_process_left_is_removed_by_the_next_that_writes_there(tmp_path):
    (tmp_path / "poetry.lock").write_text("of somebody else")
    (tmp_path / ".mine.part").write_text("of somebody else")
    strangers = set(tmp_path.iterdir())
    with scratch_folder(tmp_path / "living"):
        living = set(tmp_path.iterdir()) - strangers
        killed_while_writing(tmp_path / "a.txt")
        left = set(tmp_path.iterdir()) - strangers - living
        assert len(left) == 3
        assert set(abandoned(tmp_path)) == left
        assert set(sweep(tmp_path)) == left
        assert set(tmp_path.iterdir()) == strangers | living


def test_the_first_file_that_a_process_writes_in_a_folder_sweeps_it(tmp_path, monkeypatch):
    killed_while_writing(tmp_path / "a.txt")
    assert len(abandoned(tmp_path)) == 3
    monkeypatch.setattr(files, "_swept", set())
    write_text(tmp_path / "b.txt", "")
    assert list(tmp_path.iterdir()) == [tmp_path / "b.txt"]


def test_what_another_machine_left_on_a_shared_disk_is_nobodys_business_here(tmp_path):
    (tmp_path / ".run.99999999-00000000-0123abcd.part").mkdir()
    (tmp_path / "run.lock").write_text("process 99999999 on elsewhere since 2026-01-01")
    assert abandoned(tmp_path) == []


def test_a_replacement_that_fails_half_way_puts_the_old_folder_back(finished, monkeypatch, two_steps):
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

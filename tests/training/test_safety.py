"""What a training of a week must survive: full disks, damaged files, kills while writing."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from dcgan_analysis.core.files import _host
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.errors import ConfigError, TrainingError, TrainingStopped
from dcgan_analysis.training import TrainingConfig
from dcgan_analysis.training.batches import Prefetcher
from dcgan_analysis.training.state import read_header
from dcgan_analysis.training.watching import Watcher


def test_a_full_disk_is_one_line_and_the_last_state_stays_whole(make_trainer, small_files):
    first = make_trainer(epochs=1)
    first.run()
    whole = (first.folder / "state.safetensors").read_bytes()
    more = make_trainer(epochs=2)
    more.resume()
    with (
        small_files(20_000),
        pytest.raises(
            TrainingError,
            match=r"^The training cannot be saved in '.*run': .*File too large\. Nothing half-written was "
            r"kept, and the state of step 4 is whole\. Make room and resume\.$",
        ),
    ):
        more.run()

    assert (first.folder / "state.safetensors").read_bytes() == whole
    assert not list(first.folder.rglob(".*"))
    again = make_trainer(epochs=2)
    assert again.resume()
    assert again.run().metadata.step == 8


def test_the_newest_states_are_kept(make_trainer):
    trainer = make_trainer(epochs=4, keep_states=3)
    trainer.run()

    kept = sorted((trainer.folder / "states").iterdir())
    assert [path.name for path in kept] == ["step-000000008.safetensors", "step-000000012.safetensors"]
    assert [read_header(path)[1]["step"] for path in kept] == [8, 12]
    assert read_header(trainer.folder / "state.safetensors")[1]["step"] == 16


def test_one_state_needs_no_folder(make_trainer):
    trainer = make_trainer(epochs=2, keep_states=1)
    trainer.run()

    assert not (trainer.folder / "states").exists()


def test_a_damaged_state_tells_which_older_one_is_there(make_trainer, everything):
    whole = make_trainer("whole", epochs=3)
    whole.run()
    trainer = make_trainer(epochs=2)
    trainer.run()
    (trainer.folder / "state.safetensors").write_bytes(b"damaged")

    with pytest.raises(TrainingError, match=r"cannot be read: .* Copy '.*step-000000004\.safetensors' over it, or sta"):
        make_trainer(epochs=3).resume()

    (trainer.folder / "states" / "step-000000004.safetensors").replace(trainer.folder / "state.safetensors")
    again = make_trainer(epochs=3)
    again.resume()
    assert again.step == 4
    again.run()
    ours, theirs = everything(again), everything(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_killed_writers_left_is_swept_away(make_trainer):
    trainer = make_trainer()
    trainer.folder.mkdir()
    dead = f".state.safetensors.999999999-{_host()}-0123abcd.part"
    alive = f".model.safetensors.{os.getppid()}-{_host()}-0123abcd.part"
    for name in (dead, alive):
        (trainer.folder / name).write_bytes(b"half")

    trainer.run()

    assert not (trainer.folder / dead).exists()
    assert (trainer.folder / alive).exists()


def test_the_state_is_saved_by_the_clock_too_and_resumes_in_the_middle_of_an_interval(make_trainer, monkeypatch):
    monkeypatch.setattr("dcgan_analysis.training.trainer._LOOK_EVERY", 1)
    trainer = make_trainer("clock", epochs=2, sample_every=2, save_minutes=1e-9)
    saved = []
    save = trainer._save_state
    monkeypatch.setattr(trainer, "_save_state", lambda: (save(), saved.append(trainer.step)))
    with pytest.MonkeyPatch.context() as killed:
        killed.setattr(trainer, "_end_interval", lambda told: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trainer.run()

    assert saved == [1, 2, 3, 4, 5, 6, 7]
    rest, whole = make_trainer("clock", epochs=2, sample_every=2), make_trainer("whole", epochs=2, sample_every=2)
    rest.resume()
    assert rest.step == 7
    assert rest.run().sha256() == whole.run().sha256()
    means = ("generator_loss", "discriminator_loss", "real_probability", "fake_probability")
    assert [rest.history[0][name] for name in means] == [whole.history[0][name] for name in means]


class Signals(Watcher):
    """Sends this process a signal, some times over, when a step is done."""

    def __init__(self, number, at, times=1):
        self.number, self.at, self.times = number, at, times

    def steps(self, at):
        if at.step == self.at:
            for _ in range(self.times):
                signal.raise_signal(self.number)


@pytest.fixture
def hears():
    """Let Ctrl-C and SIGHUP be heard: what a shell starts in the background, or nohup, ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGHUP, before[1])


@pytest.mark.usefixtures("hears")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("at", [2, 4])  # in the middle of an interval, and at its end
def test_a_training_asked_to_stop_saves_its_state_and_goes_on_to_the_same_bits(make_trainer, monkeypatch, number, at):
    monkeypatch.setattr("dcgan_analysis.training.trainer._LOOK_EVERY", 1)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    asked = make_trainer("asked to stop", epochs=2)

    with pytest.raises(
        TrainingStopped, match=r"^Stopped after step \d of 8; the state is saved\. Go on: .* --out '.*/asked to stop'$"
    ) as stop:
        asked.run([Signals(number, at)])

    assert stop.value.signal == number
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    rest, whole = make_trainer("asked to stop", epochs=2), make_trainer("whole", epochs=2)
    rest.resume()
    # At the end of an interval the step after it is still done.
    assert rest.step == (2 if at == 2 else 5)
    assert rest.run().sha256() == whole.run().sha256()


@pytest.mark.usefixtures("hears")
def test_a_training_asked_twice_stops_at_once(make_trainer, monkeypatch):
    monkeypatch.setattr("dcgan_analysis.training.trainer._LOOK_EVERY", 1)
    trainer = make_trainer(epochs=2)

    with pytest.raises(KeyboardInterrupt) as stop:
        trainer.run([Signals(signal.SIGINT, 6, times=2)])

    assert not isinstance(stop.value, TrainingStopped)
    assert read_header(trainer.folder / "state.safetensors")[1]["step"] == 4


@pytest.mark.usefixtures("hears")
def test_a_training_that_ignores_ctrl_c_goes_on_ignoring_it(make_trainer, monkeypatch):
    monkeypatch.setattr("dcgan_analysis.training.trainer._LOOK_EVERY", 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert make_trainer(epochs=1).run([Signals(signal.SIGINT, 2)]).metadata.step == 4


def test_a_training_in_a_thread_leaves_signals_alone(make_trainer):
    with ThreadPoolExecutor(1) as thread:
        handler = signal.getsignal(signal.SIGTERM)
        checkpoint = thread.submit(make_trainer(epochs=1).run).result()
    assert checkpoint.metadata.step == 4
    assert signal.getsignal(signal.SIGTERM) is handler


def test_weights_that_are_not_finite_are_never_saved(make_trainer):
    trainer = make_trainer(epochs=1)
    trainer.run()
    before = (trainer.folder / "state.safetensors").read_bytes()
    more = make_trainer(epochs=2)
    more.resume()
    end = more._end_interval

    def spoilt(told):
        more.pair.generator.deconv1.operation.weight.data[0, 0, 0, 0] = torch.inf
        end(told)

    more._end_interval = spoilt
    with pytest.raises(TrainingError, match=r"at step 8 .*not finite: generator\.deconv1\.operation\.weight\. The sta"):
        more.run()
    assert (trainer.folder / "state.safetensors").read_bytes() == before


def test_epochs_belong_to_the_training_where_the_step_size_falls(make_trainer):
    make_trainer(learning_rate_decay="linear").run()

    with pytest.raises(TrainingError, match=r"other settings, saved at step 4: epochs \(saved 1\.0, now 2\.0\)\."):
        make_trainer(learning_rate_decay="linear", epochs=2).resume()


class Lazy:
    """Images that are made when asked for: rows by an array of integers, a shape, a length."""

    def __init__(self, images):
        self._images, self.shape, self.dtype, self.ndim = images, images.shape, images.dtype, 4

    def __len__(self):
        return len(self._images)

    def __getitem__(self, rows):
        assert isinstance(rows, type(self._images))
        assert rows.dtype == "int64"
        return self._images[rows]


def test_nothing_is_asked_of_images_but_rows(make_trainer, split):
    lazy = DatasetSplit(Lazy(split.images), split.labels, split.ids, classes=split.classes)
    lazy.__dict__["sha256"] = split.sha256

    assert make_trainer("lazy", images=lazy).run().sha256() == make_trainer("array").run().sha256()


def test_minibatches_are_made_ahead_in_order_and_their_errors_come_through():
    made = []

    def make(step):
        made.append(step)
        if step == 3:
            msg = "unreadable"
            raise OSError(msg)
        return step

    with Prefetcher(make, stop=10) as prefetch:
        assert [prefetch(step) for step in (0, 1, 2)] == [0, 1, 2]
        with pytest.raises(OSError, match="unreadable"):
            prefetch(3)
    assert made == [0, 1, 2, 3]


def test_an_unknown_augmentation_or_one_twice_is_refused():
    with pytest.raises(ConfigError, match=r"^diff_augment\.0: must be 'color', 'translation' or 'cutout', got 'blur'"):
        TrainingConfig.build({"diff_augment": ["blur"]})
    with pytest.raises(ConfigError, match="diff_augment: each augmentation once, got color, color"):
        TrainingConfig.build({"diff_augment": ["color", "color"]})


def test_auto_precision_is_recorded_as_what_it_became(make_trainer, monkeypatch):
    for units, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("dcgan_analysis.core.device.has_bfloat16_units", lambda device, units=units: units)
        assert make_trainer(precision="auto").config.precision == expected


def test_the_history_is_json_with_all_that_was_measured(make_trainer):
    trainer = make_trainer()
    trainer.run()

    (row,) = json.loads((trainer.folder / "history.json").read_text())
    assert row["samples"] == "samples/epoch-0001.00.png"
    assert 0 <= row["collapsed_filters"] <= 1
    assert row["diversity"] > 0
    assert row["seconds"] > 0
    assert row["warnings"] == []

"""The training loop: the paper's plain scheme, one generator update and one discriminator update in turn.

What a training leaves in its folder:

    model.safetensors    the checkpoint as of the last finished interval
    best.safetensors     the checkpoint with the best feature accuracy, where that is measured
    state.safetensors    everything a resume needs; states/ holds those before it
    history.json         losses, judgements, speed, monitors and feature accuracy by interval
    samples/             images of fixed latent vectors, one PNG an interval

An epoch is one pass of the discriminator over the images. The authors' code spends a minibatch of images on each
generator update as well (without looking at it), so one of its epochs holds half as many updates.
"""

from __future__ import annotations

import json
import math
import shlex
import signal
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from dcgan_analysis.core.files import write_text
from dcgan_analysis.errors import TrainingError, TrainingStopped
from dcgan_analysis.training.batches import Prefetcher, check_split
from dcgan_analysis.training.distributed import SINGLE, Processes
from dcgan_analysis.training.failures import failures
from dcgan_analysis.training.inputs import Inputs, Minibatch
from dcgan_analysis.training.measures import Measures
from dcgan_analysis.training.networks import AdversarialPair
from dcgan_analysis.training.outcome import make_checkpoint
from dcgan_analysis.training.start import describe_start
from dcgan_analysis.training.state import (
    StateFile,
    explained_write_errors,
    load_state,
    not_finite,
    readable,
    save_state,
)
from dcgan_analysis.training.stopping import StopRequest, stop_requests
from dcgan_analysis.training.watching import Steps, TensorBoard, Watcher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.training.config import TrainingConfig

# Steps between two looks at the losses: reading a number waits for the device.
_LOOK_EVERY = 10


@dataclass
class _Sums:
    """Running sums over the steps of one interval, kept as tensors: reading a number would wait for the device."""

    values: Tensor
    steps: int = 0

    def add(self, *values: Tensor) -> None:
        self.values += torch.stack(values)
        self.steps += 1

    def means(self) -> dict[str, float]:
        names = ("generator_loss", "discriminator_loss", "real_probability", "fake_probability")
        return dict(zip(names, (self.values / max(self.steps, 1)).tolist(), strict=True))


class Trainer:
    """Trains one pair of networks on one split of images.

    Args:
        config: The settings.
        architecture: What is trained, as ``config`` names it.
        split: The images, uint8 (N, C, H, W); their labels condition a conditional architecture.
        folder: Where everything is written.
        device: Where it is computed.
        processes: This process among those of a distributed training; the first one writes.
        left_out: What ``select_images`` says of images left out, for the checkpoint; None: none were.
        start: Checkpoint whose networks it starts from; None: random weights. A resume does not look at it.
        probed: Labelled training images whose feature accuracy is measured; None: those of ``split``.

    Raises:
        TrainingError: If the images do not suffice for the settings, or ``start`` holds other networks.
    """

    def __init__(
        self,
        config: TrainingConfig,
        architecture: Architecture,
        split: DatasetSplit,
        folder: Path,
        device: torch.device,
        processes: Processes = SINGLE,
        left_out: Mapping[str, Any] | None = None,
        start: Checkpoint | None = None,
        probed: DatasetSplit | None = None,
    ) -> None:
        check_split(config, architecture, split)
        self._started_from = {} if start is None else describe_start(start, config, architecture)
        self.config = config.resolved(device)
        self.architecture = architecture
        self.folder = folder
        self.device = device
        self.split = split
        self.processes = processes
        self._left_out = dict(left_out or {})
        self._inputs = Inputs(self.config, architecture, split, processes)
        self.pair = AdversarialPair(architecture, self.config, device, processes, start)
        self.order = self._inputs.order
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self._seconds = 0.0
        self._sums = self._no_sums()
        self._speed = 0.0
        self._measures = Measures(self.config, self._inputs, split if probed is None else probed)
        self._states = StateFile(folder, config.keep_states)
        self._saved_step: int | None = None
        self._finished: tuple[int, Checkpoint] | None = None

    @property
    def steps(self) -> int:
        """Number of steps of the whole training."""
        return max(1, round(self.config.epochs * self.order.steps_per_epoch))

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return self.step / self.order.steps_per_epoch

    def resume(self) -> bool:
        """Go back to the saved state in the folder; returns whether there was one.

        Raises:
            TrainingError: If it was made with other settings or other images.
        """
        if not self._states.path.exists():
            return False
        progress, monitored = load_state(self._states.path, self.pair, self.config)
        if progress["data_sha256"] != self.split.sha256:
            msg = f"'{self.folder}' was trained on other images under the name '{self.config.dataset}'."
            raise TrainingError(msg)
        with readable(self._states.path):
            self.step, self.history, self._seconds = progress["step"], progress["history"], progress["seconds"]
            self._sums = self._no_sums()
            self._sums.values += torch.tensor(progress["sums"], device=self.device)
            self._sums.steps = progress["summed_steps"]
        self._started_from = progress.get("started_from", {})
        self._measures.monitors.pictures = monitored
        self._saved_step = self.step
        return True

    def run(self, watchers: Sequence[Watcher] = ()) -> Checkpoint:
        """Train to the end and return the checkpoint.

        Args:
            watchers: Are told how it goes, in the first process only.

        Raises:
            TrainingError: If a loss is no longer finite, nothing can be written, or another training is under way in
                the folder; the last saved state stays whole.
            TrainingStopped: On Ctrl-C, SIGTERM or SIGHUP, after the step and the saving of its state. A second one ends
                the training at once, with the state saved last.
        """
        with self._states.held(self._saved_step) if self.processes.first else nullcontext():
            self.processes.wait()
            return self._run(list(watchers) if self.processes.first else [])

    def _run(self, watchers: list[Watcher]) -> Checkpoint:
        if self.config.tensorboard and self.processes.first:
            watchers.append(TensorBoard(self.folder, self.step))
        try:
            for watcher in watchers:
                watcher.begin(self.step, self.steps, self.epoch)
            with stop_requests() as request:
                while self.step < self.steps:
                    self._train_until(self._next_stop(), watchers, request)
                    self._end_interval(watchers)
        finally:
            for watcher in watchers:
                watcher.close()
        return self.checkpoint()

    def _next_stop(self) -> int:
        """Return the step at which the present interval ends: samples or a measurement are due, or all is done."""
        stops = [self.steps]
        for epochs in (self.config.sample_every, self.config.probe_every):
            if epochs:
                length = self.order.steps_per_epoch * epochs
                stops.append((self.step // length + 1) * length)
        return min(stops)

    def _train_until(self, stop: int, watchers: Sequence[Watcher], request: StopRequest) -> None:
        self.pair.generator.train()
        self.pair.discriminator.train()
        first = looked = self.step
        started = saved = time.perf_counter()
        before = self._seconds
        # On CPUs a step may take seconds, and torchrun kills its processes 30 s after a signal: they ask each other
        # after each. On GPUs asking waits for the device, and ten steps pass quickly.
        each_step = self.processes.count == 1 or self.device.type == "cpu"
        with Prefetcher(self._inputs, stop) as prefetch:
            while self.step < stop:
                rate = self.pair.set_learning_rate(self.step / self.steps)
                self._sums.add(*self._one_step(prefetch(self.step)))
                self.step += 1
                now = time.perf_counter()
                self._seconds = before + now - started
                due = self.step == stop or not self.step % _LOOK_EVERY
                if due:
                    means = self._look(looked)
                    looked = self.step
                    self._speed = (self.step - first) * self.config.batch_size / (now - started)
                    at = Steps(self.step, self.steps, self.epoch, means, self._speed, rate)
                    for watcher in watchers:
                        watcher.steps(at)
                if self.step == stop or not (due or each_step):
                    continue
                if self.processes.any(request.signal != 0, self.device):
                    raise self._stopped(request)
                if due and self.config.save_minutes and now - saved > 60 * self.config.save_minutes:
                    self._save_state()
                    saved = time.perf_counter()

    def _stopped(self, request: StopRequest) -> TrainingStopped:
        self._save_state()
        # How many machines took part is torchrun's knowledge.
        command = "dcgan-analyze" if self.processes.count == 1 else "torchrun, begun as before, with -m dcgan_analysis"
        msg = (
            f"Stopped after step {self.step:,} of {self.steps:,}; the state is saved. Go on: "
            f"{command} train --resume --out {shlex.quote(str(self.folder))}"
        )
        # Where another process was asked, this one was not.
        return TrainingStopped(msg, request.signal or signal.SIGTERM)

    def _look(self, looked: int) -> dict[str, float]:
        """Return the means of the interval so far, over all processes; stop the training if one is not finite."""
        self._sums.values = self.processes.mean(self._sums.values)
        means = self._sums.means()
        if not all(map(math.isfinite, means.values())):
            raise self._diverged(looked, [name for name, mean in means.items() if not math.isfinite(mean)])
        return means

    def _diverged(self, since: int, what: Sequence[str]) -> TrainingError:
        kept = (
            "Nothing was saved before."
            if self._saved_step is None
            else f"The state of step {self._saved_step:,} in '{self.folder}' is kept."
        )
        when = f"between steps {since} and {self.step}" if since < self.step else f"at step {self.step}"
        names = ", ".join(what[:3]) + (f" and {len(what) - 3} more" if len(what) > 3 else "")
        msg = (
            f"Training diverged {when} (epoch {self.epoch:.2f}): not finite: {names}. {kept} "
            "Train with a smaller learning_rate into another folder (out)."
        )
        return TrainingError(msg)

    def _one_step(self, batch: Minibatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        images, z = batch.images.to(self.device), batch.generator_z.to(self.device)
        generator_loss, fake = self.pair.update_generator(z, batch.labels, self.step)
        if not self.config.reuse_samples:
            with torch.no_grad():
                fake = self.pair.generate(batch.discriminator_z.to(self.device), batch.labels)
        means = self.pair.update_discriminator(images, fake, batch.labels, self.step)
        self.pair.update_averages(self.step)
        return generator_loss, *means

    def _end_interval(self, watchers: Sequence[Watcher]) -> None:
        """Write the interval's checkpoint, samples, measurements and, last, the state that a resume starts from."""
        broken = not_finite(self.pair)
        if broken:
            raise self._diverged(self.step, broken)
        means, self._sums = self._sums.means(), self._no_sums()
        if not self.processes.first:
            self._saved_step = self.step
            return
        with explained_write_errors(self.folder, self._saved_step):
            checkpoint = self.checkpoint()
            checkpoint.save(self.folder / "model.safetensors")
            row: dict[str, Any] = {
                "epoch": self.epoch,
                "step": self.step,
                **means,
                "learning_rate": self.pair.set_learning_rate(max(0, self.step - 1) / self.steps),
                "images_per_second": self._speed,
                "seconds": self._seconds,
                "samples": self._measures.save_samples(checkpoint, self.folder),
                **self._measures.read_monitors(self.pair),
                **self._measures.probe(checkpoint, self.device, last=self.step == self.steps),
            }
            row["warnings"] = list(map(str, failures([*self.history, row])))
            best = max((past.get("feature_accuracy", 0.0) for past in self.history), default=0.0)
            if row.get("feature_accuracy", 0.0) > best:
                checkpoint.save(self.folder / "best.safetensors")
            self.history.append(row)
            write_text(self.folder / "history.json", json.dumps(self.history, indent=1))
            self._save_state()
        for watcher in watchers:
            watcher.interval(self.folder, row)

    def _save_state(self) -> None:
        if self.processes.first:
            self._write_state()
        self._saved_step = self.step

    def _write_state(self) -> None:
        broken = not_finite(self.pair)
        if broken:
            raise self._diverged(self.step, broken)
        progress = {
            "step": self.step,
            "history": self.history,
            "seconds": self._seconds,
            "sums": self._sums.values.tolist(),
            "summed_steps": self._sums.steps,
            "data_sha256": self.split.sha256,
            "started_from": self._started_from,
        }
        with explained_write_errors(self.folder, self._saved_step):
            if self._saved_step is not None and self._saved_step != self.step:
                self._states.set_aside(self._saved_step)
            save_state(self._states.path, self.pair, self.config, progress, self._measures.monitors.pictures)

    def checkpoint(self) -> Checkpoint:
        """Return the networks as they are, with BatchNorm statistics of clean data; see ``make_checkpoint``."""
        if self._finished is None or self._finished[0] != self.step:
            progress = {
                "step": self.step,
                "epoch": self.epoch,
                "seconds": self._seconds,
                "processes": self.processes.count,
                "left_out": self._left_out,
                "started_from": self._started_from,
            }
            made = make_checkpoint(self.folder.name, self.pair, self._inputs, self.split, self.config, progress)
            self._finished = (self.step, made)
        return self._finished[1]

    def _no_sums(self) -> _Sums:
        return _Sums(torch.zeros(4, device=self.device))

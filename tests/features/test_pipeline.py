from __future__ import annotations

import os
import re
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.core import memory, parallel
from dcgan_analysis.core.files import writer_lock
from dcgan_analysis.data.dataset import DatasetSplit
from dcgan_analysis.errors import AnalysisError, ArchitectureError, DatasetError, StoreError
from dcgan_analysis.features import cache, layout, pipeline
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.features.pipeline import Extraction
from dcgan_analysis.features.store import FeatureStore
from dcgan_analysis.models import replicas, tables

CPU = torch.device("cpu")
D = (4 + 8 + 16) * 16


def make_split(n, seed, shape=(1, 32, 32)):
    rng = np.random.default_rng(seed)
    return DatasetSplit(
        images=rng.integers(0, 256, (n, *shape), dtype=np.uint8),
        labels=np.arange(n) % 2,
        ids=[f"image-{i}" for i in range(n)],
        classes=["odd", "even"],
        source=f"random {seed}",
    )


TRAIN, TEST = make_split(40, 1), make_split(36, 2)
CHECKPOINT = Checkpoint.random(tables.dcgan32_svhn(width=4, image_channels=1), seed=0, name="mine")


@pytest.fixture
def extraction(tmp_path):
    """Make an extraction into one cache folder; keyword arguments are settings, or replace its fields."""

    def make(checkpoint=CHECKPOINT, reference=TRAIN, folder=tmp_path, progress=None, fit="exact", **settings):
        spec = FeatureSpec(**({"batchnorm_batch": 8, "precision": "float32", "dtype": "float32"} | settings))
        made = Extraction(checkpoint, spec, reference, CPU, folder=folder, fit=fit)
        return made if progress is None else replace(made, progress=progress)

    return make


@pytest.fixture
def small_chunks(monkeypatch):
    """Make stores of chunks of 8 rows."""
    monkeypatch.setattr(layout, "_CHUNK_BYTES", 8 * D * 4)


class StopAt:
    """A progress that is interrupted once so many images of a split's features are done."""

    def __init__(self, images):
        self.images = images

    def __call__(self, what, done, total):
        if "features of" in what and done >= self.images:
            raise KeyboardInterrupt


def test_a_limit_of_memory_makes_forward_passes_smaller_and_leaves_the_features(extraction, monkeypatch):
    monkeypatch.setattr(parallel, "worker_count", lambda device=None: 1)
    whole = extraction().features(TEST)
    # The largest map has 4 x 16 x 16 numbers; each takes 48 bytes, times one worker.
    monkeypatch.setattr(memory, "_resident", lambda kind: 0)
    monkeypatch.setattr(memory, "_FILES", 0)
    small = extraction()
    with memory.limited_memory(5 * 48 * 1024 / 1e9):
        monkeypatch.setattr(pipeline, "worker_count", lambda device=None: 1)
        assert small._batch == 5
        torch.testing.assert_close(small.features(TEST), whole)
    with memory.limited_memory(47 * 1024 / 1e9), pytest.raises(AnalysisError, match="A forward pass of 'mine' needs"):
        small.features(TEST)


def files(folder):
    return sorted(path.suffix for path in (folder / "features").iterdir() if path.suffix != ".lock")


def test_a_store_holds_the_features_of_every_image(extraction):
    extract = extraction()

    store = extract.store("test", TEST)

    assert store.shape == (36, D)
    assert store.ids == TEST.ids
    assert store.classes == TEST.classes
    assert store.labels.tolist() == TEST.labels.tolist()
    assert store.split == "test"
    torch.testing.assert_close(torch.from_numpy(store.numpy()), extract.features(TEST.images))
    store.verify()


def test_a_second_extraction_makes_no_forward_pass(extraction):
    first = extraction()
    path = first.store("test", TEST).path
    assert first.forward_images == 40 + 36

    second = extraction()

    assert second.store("test", TEST).path == path
    assert second.forward_images == 0
    assert second.precision is None


def test_the_reference_goes_through_the_network_once(extraction):
    extract = extraction()
    extract.store("train", TRAIN)
    extract.store("test", TEST)

    assert extract.forward_images == 40 + 40 + 36


def test_only_whole_batches_of_the_reference_are_used(extraction):
    extract = extraction(batchnorm_batch=16)
    extract.store("test", TEST)

    assert extract.forward_images == 32 + 36


def test_the_name_of_a_checkpoint_is_not_part_of_the_key(extraction):
    extraction().store("test", TEST)
    renamed = extraction(checkpoint=replace(CHECKPOINT, name="another"))
    renamed.store("test", TEST)

    assert renamed.forward_images == 0


def changed_pixel():
    images = TEST.images.copy()
    images[3, 0, 5, 5] ^= 1
    return replace(TEST, images=images)


@pytest.mark.parametrize(
    ("part", "change", "split"),
    [
        ("weights_sha256", {"checkpoint": replace(CHECKPOINT.twin(5), name="mine")}, TEST),
        ("batchnorm_split_sha256", {"reference": make_split(40, 9)}, TEST),
        ("taps", {"taps": ("conv2",)}, TEST),
        ("taps", {"taps": ("conv3", "conv2", "conv1")}, TEST),
        ("pooling", {"grid": 2}, TEST),
        ("dataset_sha256", {}, changed_pixel()),
        ("batchnorm_batch_size", {"batchnorm_batch": 10}, TEST),
        ("compute_dtype", {"precision": "bfloat16"}, TEST),
        ("store_dtype", {"dtype": "bfloat16"}, TEST),
        ("preprocessing", {"fit": "resize"}, TEST),
    ],
)
def test_what_changes_the_numbers_changes_the_key(extraction, part, change, split):
    key = extraction().key("test", TEST)

    other = extraction(**change).key("test", split)

    assert [difference.part for difference in key.difference(other)] == [part]


def test_what_a_mode_does_not_use_is_not_part_of_its_key(extraction):
    assert extraction(batchnorm="running").key("test", TEST) == extraction(
        batchnorm="running", reference=None, batchnorm_batch=10
    ).key("test", TEST)
    batch = extraction(batchnorm="batch", reference=None).key("test", TEST)
    assert (batch.batchnorm_batch_size, batch.batchnorm_split_sha256) == (8, None)


def test_a_changed_checkpoint_of_the_same_name_is_extracted_again(extraction):
    first = extraction().store("test", TEST).numpy()
    changed = extraction(checkpoint=replace(CHECKPOINT.twin(5), name="mine"))

    second = changed.store("test", TEST).numpy()

    assert changed.forward_images > 0
    assert np.abs(first - second).max() > 0.01


@pytest.mark.parametrize("mode", ["running", "reestimated", "batch"])
def test_an_interrupted_extraction_goes_on_at_the_first_missing_chunk(extraction, tmp_path, small_chunks, mode):
    whole = extraction(folder=tmp_path / "whole", batchnorm=mode).store("test", TEST)

    with pytest.raises(KeyboardInterrupt):
        # Rows 16 to 24 are computed when it stops, but not yet written.
        extraction(batchnorm=mode, progress=StopAt(24)).store("test", TEST)
    assert files(tmp_path) == [".part"]
    again = extraction(batchnorm=mode)
    store = again.store("test", TEST)

    assert again.forward_images == 20 + (40 if mode == "reestimated" else 0)
    assert files(tmp_path) == [".h5"]
    np.testing.assert_array_equal(store.numpy(), whole.numpy())
    store.verify()


def test_an_interruption_during_re_estimation_loses_nothing(extraction, tmp_path):
    def stop(what, done, total):
        if "BatchNorm" in what and done == 24:
            raise KeyboardInterrupt

    extract = extraction(progress=stop)
    with pytest.raises(KeyboardInterrupt):
        extract.store("test", TEST)
    extract.progress = lambda *_: None

    torch.testing.assert_close(extract.features(TEST.images), extraction().features(TEST.images), rtol=0, atol=0)


def test_progress_tells_of_all_images(extraction, small_chunks):
    told = []
    extraction(progress=lambda *event: told.append(event)).store("test", TEST)

    assert told[4] == ("mine: BatchNorm statistics (images)", 40, 40)
    assert [done for what, done, _ in told[5:]] == [8, 16, 24, 32, 36]
    assert told[-1] == ("mine: features of test (images)", 36, 36)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 0), ("float16", 2**-11), ("bfloat16", 2**-8)])
def test_features_without_a_store_equal_the_store_within_its_rounding(extraction, dtype, error):
    extract = extraction(dtype=dtype, batchnorm="running")
    stored = torch.from_numpy(extract.store("test", TEST).numpy())

    torch.testing.assert_close(extract.features(TEST.images), stored, rtol=error + 1e-6, atol=1e-6)


def test_the_difference_to_float32_is_measured_and_said(extraction):
    extract = extraction(precision="bfloat16", batchnorm="running")
    assert "no forward pass" in extract.summary()

    extract.store("test", TEST)

    assert 1e-4 < extract.precision.relative < 0.02
    assert extract.summary().startswith("36 images through the network, relative difference to float32 ")


def test_features_of_no_images_are_an_empty_matrix(extraction):
    assert extraction(batchnorm="running").features(TEST.images[:0]).shape == (0, D)


def test_read_only_and_reversed_arrays_are_taken(extraction):
    extract = extraction(batchnorm="running")
    images = TEST.images.copy()
    images.flags.writeable = False

    features = extract.features(images)

    torch.testing.assert_close(extract.features(TEST.images[::-1]), features.flip(0))


@pytest.mark.parametrize(
    "images", [np.zeros((2, 1, 32, 32), np.int64), np.zeros((1, 32, 32), np.uint8), torch.zeros(2, 1, 32, 32).bool()]
)
def test_images_of_another_type_are_refused_and_not_cast(extraction, images):
    with pytest.raises(DatasetError, match=r"^Images must be uint8 or float \(N, C, H, W\), got torch\.\w+ \(.*\)\.$"):
        extraction(batchnorm="running").features(images)


def test_images_of_another_shape_are_refused_before_anything_is_computed(extraction, tmp_path):
    extract = extraction()

    with pytest.raises(
        DatasetError,
        match=r"^Dataset 'random 3' has images of 3x32x32, checkpoint 'mine' takes 1x32x32\. Use the setting fit",
    ):
        extract.store("test", make_split(4, 3, (3, 32, 32)))
    with pytest.raises(DatasetError, match="has images of 1x28x28"):
        extract.store("test", make_split(4, 3, (1, 28, 28)))
    assert extract.forward_images == 0
    assert not (tmp_path / "features").exists()


def test_floats_of_another_shape_are_refused(extraction):
    with pytest.raises(ArchitectureError, match=r"takes images of shape \(N, 1, 32, 32\), got \(2, 3, 32, 32\)"):
        extraction(batchnorm="running").features(torch.zeros(2, 3, 32, 32))


def test_images_of_another_shape_are_converted_where_asked(extraction):
    store = extraction(fit="resize", batchnorm="running").store("test", make_split(4, 3, (3, 40, 36)))

    assert store.shape == (4, D)


@pytest.mark.parametrize("reference", [None, make_split(1, 4)])
def test_re_estimation_needs_two_images(extraction, reference):
    with pytest.raises(DatasetError, match=r"needs a training split of at least 2 images\. Use batchnorm=running\.$"):
        extraction(reference=reference).store("test", TEST)


def test_a_reference_smaller_than_a_batch_is_one_batch(extraction):
    extract = extraction(reference=make_split(5, 4), batchnorm_batch=128)
    extract.store("test", TEST)

    assert extract.forward_images == 5 + 36
    assert extract.key("test", TEST).batchnorm_batch_size == 5


def test_nan_weights_are_an_error_and_leave_no_finished_store(extraction, tmp_path):
    weights = {role: {name: t.clone() for name, t in state.items()} for role, state in CHECKPOINT.weights.items()}
    weights["discriminator"]["conv2.operation.weight"][0, 0, 0, 0] = torch.nan
    broken = replace(CHECKPOINT, weights=weights)

    with pytest.raises(StoreError, match=r"image 'image-0' has the feature nan at tap 'conv2'") as caught:
        extraction(checkpoint=broken, batchnorm="running").store("test", TEST)
    assert "\n" not in str(caught.value)
    assert ".h5" not in files(tmp_path)
    with pytest.raises(StoreError, match="has the feature nan"):
        extraction(checkpoint=broken, batchnorm="running").store("test", TEST)


def test_a_conditional_checkpoint_is_refused(extraction):
    conditional = Checkpoint.random(tables.mlp_conditional(width=8, image_size=32), seed=0, name="mnist")

    with pytest.raises(ArchitectureError, match=r"^Architecture 'mlp-conditional' is conditional"):
        extraction(checkpoint=conditional).store("test", TEST)


def test_a_damaged_store_is_not_taken_for_features(extraction):
    path = extraction().store("test", TEST).path
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(StoreError, match=str(path.name)):
        extraction().store("test", TEST)


def test_the_store_can_be_read_by_its_path(extraction):
    store = extraction().store("test", TEST)

    again = FeatureStore(store.path)

    assert again.key == extraction().key("test", TEST)
    np.testing.assert_array_equal(again.numpy(), store.numpy())


def test_three_extractions_of_the_same_at_a_time_share_one_store_and_say_whom_they_wait_for(extraction, caplog):
    runs = [extraction(batchnorm="running") for _ in range(3)]
    stores = []
    threads = [threading.Thread(target=lambda run=run: stores.append(run.store("test", TEST))) for run in runs]
    with writer_lock(cache.path_for(runs[0].key("test", TEST), runs[0].folder), "Held here"):
        for thread in threads:
            thread.start()
        while len(caplog.messages) < 3:
            time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert len({store.path for store in stores}) == 1
    assert len(stores) == 3
    assert sorted(run.forward_images for run in runs)[:2] == [0, 0]
    waiting = rf"Feature store .*\.h5 is being written by process {os.getpid()} on .* since .*: waiting for it\."
    assert all(re.fullmatch(waiting, message) for message in caplog.messages[:3])


@pytest.mark.usefixtures("small_chunks")
def test_a_store_has_the_same_bits_for_any_number_of_workers(extraction, tmp_path, monkeypatch):
    found = []
    for count in (1, 2, 3):
        for module in (parallel, replicas):
            monkeypatch.setattr(module, "worker_count", lambda device=None, count=count: count)
        store = extraction(folder=tmp_path / str(count)).store("test", TEST)
        found.append(store.rows().read(0, len(TEST)))

    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])

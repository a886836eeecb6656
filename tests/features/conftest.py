from __future__ import annotations

import multiprocessing
import time

import numpy as np
import pytest
import torch

from dcgan_analysis.features.store import FeatureKey, FeatureStoreWriter

TAPS = {"conv1": (2, 4, 4), "conv2": (3, 4, 4)}


@pytest.fixture
def make_key():
    """Make a key, with some parts changed."""

    def make(**changes):
        parts = {
            "weights_sha256": "aa",
            "architecture": "dcgan32",
            "architecture_parameters": {"width": 8},
            "taps": tuple(TAPS),
            "pooling": "max-4x4",
            "preprocessing": "symmetric-v1",
            "batchnorm": "reestimated",
            "batchnorm_split_sha256": "bb",
            "batchnorm_batch_size": 128,
            "batchnorm_seed": 0,
            "dataset_sha256": "cc",
            "split": "train",
            "compute_dtype": "bfloat16",
            "store_dtype": "float32",
            "code_version": 1,
        }
        return FeatureKey(**(parts | changes))

    return make


@pytest.fixture
def features():
    """23 rows of 80 features."""
    return torch.randn(23, 80, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def open_writer(make_key):
    """Open a writer of 23 rows in chunks of 5; keyword arguments replace the usual ones."""

    def open_it(path, dtype=torch.float32, **changes):
        arguments = {
            "key": make_key(store_dtype=str(dtype).removeprefix("torch.")),
            "n": 23,
            "taps": TAPS,
            "dtype": dtype,
            "ids": [f"image-{i}" for i in range(23)],
            "labels": np.arange(23) % 3,
            "groups": np.arange(23) // 2,
            "classes": ["cat", "dog", "ship"],
            "chunk_rows": 5,
        }
        return FeatureStoreWriter.open(path, **(arguments | changes))

    return open_it


@pytest.fixture
def write_store(open_writer, features):
    """Write the whole store and return its path."""

    def write(path, dtype=torch.float32, **changes):
        with open_writer(path, dtype, **changes) as writer:
            for rows in writer.missing:
                writer.write(rows.start, features[rows.start : rows.stop])
        return path

    return write


@pytest.fixture
def interrupt_after(open_writer, features):
    """Write the first rows of a store, then leave it as Ctrl-C does."""

    def interrupt(path, rows):
        def write():
            with open_writer(path) as writer:
                writer.write(0, features[:rows])
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write()

    return interrupt


@pytest.fixture
def start_writer(open_writer):
    """Start a process that opens a store for writing and stays so until it is killed."""
    fork = multiprocessing.get_context("fork")
    processes = []

    def stay(path, ready):
        with open_writer(path):
            ready.set()
            time.sleep(60)

    def start(path):
        ready = fork.Event()
        process = fork.Process(target=stay, args=(path, ready))
        processes.append(process)
        process.start()
        assert ready.wait(10)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()

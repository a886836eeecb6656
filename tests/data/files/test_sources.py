from __future__ import annotations

import urllib.error

import numpy as np
import pytest
import torchvision

from dcgan_analysis.data import load_dataset
from dcgan_analysis.errors import DatasetError


def write_idx(path, array):
    # http://yann.lecun.com/exdb/mnist/: magic 0, 0, type 8 (unsigned byte), number of dimensions.
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def mnist(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, n in (("train", 5), ("t10k", 2)):
        write_idx(raw / f"{part}-images-idx3-ubyte", np.arange(n * 784).reshape(n, 28, 28) % 251)
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(n) % 10)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_args, **_options):
        reason = "Name or service not known"
        raise urllib.error.URLError(reason)

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def test_mnist_is_read_in_torchvisions_layout(mnist):
    dataset = load_dataset("mnist", data_root=mnist, download=False)
    assert dataset.split_names == ["train", "test"]
    assert dataset.classes == [str(digit) for digit in range(10)]
    train, test = dataset.split("train"), dataset.split("test")
    expected = (np.arange(5 * 784) % 251).reshape(5, 1, 28, 28)
    np.testing.assert_array_equal(train.images, expected)
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1, 2, 3, 4], [0, 1])
    assert train.source.endswith("MNIST/raw/train-images-idx3-ubyte")


def test_torchvisions_layout_comes_before_a_zip(mnist, make_zip, pictures):
    make_zip(pictures("1.png"), name="mnist.zip")
    assert load_dataset("mnist", data_root=mnist).image_shape == (1, 28, 28)


def test_damaged_files_in_torchvisions_layout_are_named(mnist):
    path = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"MNIST train in .* cannot be read"):
        load_dataset("mnist", data_root=mnist)


def test_svhn_and_stl10_are_brought_into_the_same_form(tmp_path, monkeypatch):
    class Fake:
        classes = ("airplane", "bird")

        def __init__(self, root, split, *, download):
            assert not download
            self.data = np.full((2, 3, 4, 4), 9, np.uint8)
            self.labels = np.array([-1, -1] if split == "unlabeled" else [1, 0])

    monkeypatch.setattr(torchvision.datasets, "STL10", Fake)
    monkeypatch.setattr(torchvision.datasets, "SVHN", Fake)
    for name in ("stl10_binary/train_X.bin", "stl10_binary/unlabeled_X.bin", "train_32x32.mat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    stl10 = load_dataset("stl10", data_root=tmp_path)
    assert stl10.split_names == ["train", "unlabeled"]
    assert stl10.split("unlabeled").labels is None
    assert (stl10.classes, stl10.split("train").labels.tolist()) == (["airplane", "bird"], [1, 0])
    assert load_dataset("svhn", data_root=tmp_path).classes[3] == "3"


def test_cifar_becomes_channels_first(tmp_path, monkeypatch):
    class Fake:
        classes = ("airplane",)
        data = np.arange(2 * 32 * 32 * 3).reshape(2, 32, 32, 3).astype(np.uint8)
        targets = (0, 0)

        def __init__(self, root, train, *, download):
            pass

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Fake)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").touch()
    train = load_dataset("cifar10", data_root=tmp_path).split("train")
    np.testing.assert_array_equal(train.images, Fake.data.transpose(0, 3, 1, 2))
    assert train.images.flags.c_contiguous


def test_absent_files_make_one_error_that_says_what_where_and_how(tmp_path):
    with pytest.raises(DatasetError) as caught:
        load_dataset("cifar10", data_root=tmp_path, download=False)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("cifar10.zip", "cifar-10-batches-py", str(tmp_path), "DCGAN_ANALYSIS_DATA"):
        assert part in message


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "stl10", "mnist", "kmnist"])
def test_a_failed_download_becomes_the_same_one_error(tmp_path, name, capsys):
    with pytest.raises(DatasetError, match=r"failed: .*not known.* Offline, put one of") as caught:
        load_dataset(name, data_root=tmp_path)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


def test_names_that_torchvision_does_not_know_are_not_downloaded(tmp_path):
    root = tmp_path / "absent"
    with pytest.raises(DatasetError, match=r"\(no such folder\) for faces64\.zip or a folder face"):
        load_dataset("faces64", data_root=root)
    assert not root.exists()

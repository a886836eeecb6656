"""The authors' arrays against Theano's definitions, computed here in NumPy from their formulas alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from dcgan_analysis.checkpoints.importers.assemble import assemble
from dcgan_analysis.checkpoints.importers.theano import load
from dcgan_analysis.errors import CheckpointError, ConfigError

EPS = 1e-8


def convolve(images, kernels, stride, pad):
    """Theano's ``dnn_conv(..., conv_mode='conv')``: the kernel runs backwards.

    out[n, o, y, x] = sum over c, i, j of padded[n, c, stride y + k-1-i, stride x + k-1-j] kernels[o, c, i, j]
    """
    k = kernels.shape[2]
    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = (padded.shape[2] - k) // stride + 1
    out = np.zeros((len(images), len(kernels), size, size))
    for y in range(size):
        for x in range(size):
            for i in range(k):
                for j in range(k):
                    pixels = padded[:, :, stride * y + k - 1 - i, stride * x + k - 1 - j]
                    out[:, :, y, x] += pixels @ kernels[:, :, i, j].T
    return out


def deconvolve(top, kernels, stride, pad):
    """The authors' ``deconv``: the gradient of ``convolve`` by its images, ``stride`` times as large as ``top``.

    Every term of the sum above hands its share of ``top`` back to the pixel that it came from.
    """
    k, size = kernels.shape[2], top.shape[2] * stride
    padded = np.zeros((len(top), kernels.shape[1], size + 2 * pad, size + 2 * pad))
    for y in range(top.shape[2]):
        for x in range(top.shape[3]):
            for i in range(k):
                for j in range(k):
                    share = top[:, :, y, x] @ kernels[:, :, i, j]
                    padded[:, :, stride * y + k - 1 - i, stride * x + k - 1 - j] += share
    return padded[:, :, pad : pad + size, pad : pad + size]


def normalise(x, g, b):
    """The authors' ``batchnorm`` in batch mode."""
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    shape = (1, -1, 1, 1) if x.ndim == 4 else (1, -1)
    mean = x.mean(axes).reshape(shape)
    variance = ((x - mean) ** 2).mean(axes).reshape(shape)
    return (x - mean) / np.sqrt(variance + EPS) * g.reshape(shape) + b.reshape(shape)


def relu(x):
    return np.maximum(x, 0)


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x)


STRIDES = {
    "svhn": {"discrim": [2, 2, 2], "gen": [2, 2, 2], "pad": 2},
    "imagenet": {"discrim": [1, 2, 1, 2, 1, 2], "gen": [2, 1, 2, 1, 2, 1], "pad": 1},
}


def reference_generator(z, arrays, layout):
    arrays = [array.astype(np.float64) for array in arrays]
    w, g, b, *rest = arrays
    x = relu(normalise(z @ w, g, b)).reshape(len(z), -1, 4, 4)
    *strides, last = STRIDES[layout]["gen"]
    pad = STRIDES[layout]["pad"]
    for stride in strides:
        w, g, b, *rest = rest
        x = relu(normalise(deconvolve(x, w, stride, pad), g, b))
    (w,) = rest
    return np.tanh(deconvolve(x, w, last, pad))


def reference_discriminator(x, arrays, layout):
    arrays = [array.astype(np.float64) for array in arrays]
    first, *strides = STRIDES[layout]["discrim"]
    pad = STRIDES[layout]["pad"]
    w, *rest = arrays
    x = lrelu(convolve(x, w, first, pad))
    for stride in strides:
        w, g, b, *rest = rest
        x = lrelu(normalise(convolve(x, w, stride, pad), g, b))
    (w,) = rest
    return (x.reshape(len(x), -1) @ w)[:, 0]


@pytest.mark.parametrize(("stride", "pad", "k"), [(2, 2, 5), (2, 1, 3), (1, 1, 3)])
def test_the_references_deconvolution_is_the_gradient_of_its_convolution(stride, pad, k):
    rng = np.random.default_rng(1)
    kernels, top = rng.normal(size=(2, 3, k, k)), rng.normal(size=(1, 2, 4, 4))
    # The convolution is linear: its derivative along a unit image is the convolution of that image.
    size = 4 * stride
    units = np.eye(3 * size * size).reshape(-1, 3, size, size)
    gradient = (convolve(units, kernels, stride, pad) * top).sum((1, 2, 3)).reshape(1, 3, size, size)
    np.testing.assert_allclose(deconvolve(top, kernels, stride, pad), gradient, atol=1e-12)


@pytest.mark.parametrize("layout", ["svhn", "imagenet"])
def test_imported_networks_compute_what_theano_computes(layout, write_arrays, request_for):
    folder, arrays = write_arrays(layout, width=2, z=3)
    checkpoint = assemble(load(request_for(folder)), layout, "theano")
    rng = np.random.default_rng(2)
    z, images = rng.normal(size=(5, 3)), rng.uniform(-1, 1, (3, 3, 32, 32))

    with torch.no_grad():
        samples = checkpoint.generator().double().train()(torch.from_numpy(z)).numpy()
        logits = checkpoint.discriminator().double().train()(torch.from_numpy(images)).numpy()

    np.testing.assert_allclose(samples, reference_generator(z, arrays["gen"], layout), atol=1e-6)
    np.testing.assert_allclose(logits, reference_discriminator(images, arrays["discrim"], layout), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "name", "prior"), [("svhn", "dcgan32-svhn", "normal"), ("imagenet", "dcgan32", "uniform")]
)
def test_sizes_are_read_off_the_shapes(layout, name, prior, write_arrays, request_for):
    folder, _ = write_arrays(layout, width=3, z=7, channels=1, epoch=30)
    imported = load(request_for(folder))
    assert imported.architecture.identity() == {
        "name": name,
        "parameters": {"width": 3, "z_size": 7, "image_channels": 1, "batchnorm_eps": EPS},
    }
    assert imported.metadata == {"z_prior": prior, "data": {}, "epoch": 30}
    assert len(imported.files) == sum(1 for _ in folder.iterdir())


def test_the_arrays_counts_are_those_of_the_released_networks(write_arrays):
    assert {stem: len(arrays) for stem, arrays in write_arrays("svhn")[1].items()} == {"discrim": 8, "gen": 10}
    assert {stem: len(arrays) for stem, arrays in write_arrays("imagenet")[1].items()} == {"discrim": 17, "gen": 19}


@pytest.mark.parametrize(("stem", "there"), [("gen", "generator"), ("discrim", "discriminator")])
def test_one_network_alone_is_enough(stem, there, write_arrays, request_for):
    folder, _ = write_arrays("imagenet", stems=(stem,))
    imported = load(request_for(folder))
    assert imported.architecture.parameters["width"] == 2
    assert {role for role in ("generator", "discriminator") if getattr(imported, role) is not None} == {there}


NAME = "7_{}_params.jl_{:02d}.npy"


@pytest.mark.parametrize("stem", ["gen", "discrim"])
@pytest.mark.parametrize("number", [1, 4, 8])
def test_a_missing_array_is_named_with_its_shape(stem, number, write_arrays, request_for):
    # Only the generator's first array knows the size of z; where it is missing, the usual 100 is expected.
    folder, arrays = write_arrays(z=100)
    (folder / NAME.format(stem, number)).unlink()
    shape = arrays[stem][number - 1].shape
    with pytest.raises(CheckpointError) as caught:
        load(request_for(folder))
    assert f"array '{NAME.format(stem, number)}' of shape {shape} is missing" in str(caught.value)


@pytest.mark.parametrize("layout", ["svhn", "imagenet"])
@pytest.mark.parametrize(("stem", "number"), [("discrim", 1), ("discrim", 2), ("discrim", 3), ("gen", 4), ("gen", 10)])
@pytest.mark.parametrize("change", ["half", "transposed", "other kernel"])
def test_a_misshapen_array_is_named_with_the_shape_expected(layout, stem, number, change, write_arrays, request_for):
    folder, arrays = write_arrays(layout, width=4, z=6)
    good = arrays[stem][number - 1]
    bad = {"half": good[: len(good) // 2], "transposed": good.T, "other kernel": good[..., :2]}[change]
    if bad.shape == good.shape:  # A vector has no transposed.
        return
    np.save(folder / NAME.format(stem, number), bad)
    with pytest.raises(CheckpointError) as caught:
        load(request_for(folder))
    text = str(caught.value)
    assert f"array '{NAME.format(stem, number)}' has shape {bad.shape}" in text
    assert f"expects {good.shape} there" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "7_gen_params.jl_11.npy",
            r"'7_gen_params\.jl_11\.npy' of shape \(2,\) belongs nowhere in the generator of dcg",
        ),
        ("other.npy", r"array 'other\.npy' belongs to neither network; names are like 200_gen_params\.jl_01\.npy\."),
    ],
)
def test_an_extra_array_is_named(name, message, write_arrays, request_for):
    folder, _ = write_arrays()
    np.save(folder / name, np.zeros(2, np.float32))
    with pytest.raises(CheckpointError, match=message):
        load(request_for(folder))


def test_several_epochs_ask_for_a_choice(write_arrays, request_for):
    folder, _ = write_arrays(epoch=7)
    write_arrays(epoch=12, stems=("gen",))
    with pytest.raises(CheckpointError, match=r"holds the epochs 7, 12\. Choose one of them: --set epoch=NUMBER"):
        load(request_for(folder))
    with pytest.raises(CheckpointError, match="holds the epochs 7, 12"):
        load(request_for(folder, epoch=9))
    assert load(request_for(folder, epoch=12)).discriminator is None
    assert load(request_for(folder, epoch=7)).metadata["epoch"] == 7


class Marker:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("kind", ["plain pickle", "oldest pickle", "array of objects"])
def test_a_pickle_is_refused_and_never_run(kind, write_arrays, request_for, tmp_path):
    folder, _ = write_arrays()
    marker, path = tmp_path / "marker", folder / NAME.format("gen", 3)
    if kind != "array of objects":
        path.write_bytes(pickle.dumps(Marker(marker), protocol=0 if kind == "oldest pickle" else None))
    else:
        np.save(path, np.array([Marker(marker)], dtype=object), allow_pickle=True)
    with pytest.raises(CheckpointError, match=r"^Array file '.*jl_03\.npy' hides code: it is a pickle, [^\n]*$"):
        load(request_for(folder))
    assert not marker.exists()


@pytest.mark.parametrize("left", [0, 5, 60, 200])
def test_a_truncated_file_is_named(left, write_arrays, request_for):
    folder, _ = write_arrays()
    path = folder / NAME.format("discrim", 5)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(
        CheckpointError, match=r"^Array file '.*jl_05\.npy' cannot be read: truncated or damaged [^\n]*$"
    ):
        load(request_for(folder))


def test_numbers_that_are_none_and_other_types_are_refused(write_arrays, request_for):
    folder, arrays = write_arrays()
    path = folder / NAME.format("gen", 2)
    np.save(path, np.where(arrays["gen"][1] > 0, np.nan, 1))
    with pytest.raises(CheckpointError, match=r"jl_02\.npy' holds values that are infinite or no numbers"):
        load(request_for(folder))
    np.save(path, arrays["gen"][1].astype(complex))
    with pytest.raises(CheckpointError, match=r"jl_02\.npy' must hold real numbers, got complex128\."):
        load(request_for(folder))


def test_wrong_folders_and_settings_are_told_apart(tmp_path, write_arrays, request_for):
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    np.save(tmp_path / "foreign" / "1_gen_params.jl_01.npy", np.zeros((2, 2), np.float32))
    for path, message in {
        "absent": r"are no folder\. Name the folder that holds the arrays",
        "empty": r"holds no arrays of the authors' code; their names are like 200_gen_params",
        "foreign": r"fit none of the authors' released networks, .*'1_gen_params\.jl_01\.npy' has shape \(2, 2\)",
    }.items():
        with pytest.raises(CheckpointError, match=message):
            load(request_for(tmp_path / path))
    folder, _ = write_arrays()
    with pytest.raises(ConfigError, match=r"^Unknown setting 'z_priro'\. Did you mean 'z_prior'\?"):
        load(request_for(folder, z_priro="normal"))
    assert load(request_for(folder, z_prior="uniform")).metadata["z_prior"] == "uniform"

"""Modules in memory as checkpoints: called as they want, copied, never changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import dcgan_analysis as da
from dcgan_analysis.conformance.networks import Snapshot
from dcgan_analysis.errors import AnalysisError, ArchitectureError, CheckpointError, UnknownNameError
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.models.tracing import trace
from dcgan_analysis.testing import make_dataset


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return make()


class PlainG(nn.Module):
    """Latent vectors (N, Z)."""

    def __init__(self, z=7, side=16, channels=3, out=nn.Tanh):
        super().__init__()
        self.shape = (channels, side, side)
        self.fc, self.out = nn.Linear(z, channels * side * side), out()

    def forward(self, z):
        return self.out(4 * self.fc(z)).view(-1, *self.shape)


def convolutional_g():
    """Latent vectors (N, Z, 1, 1), as in PyTorch's example."""
    return nn.Sequential(
        nn.ConvTranspose2d(7, 4, 4, 1, 0),
        nn.BatchNorm2d(4),
        nn.ReLU(True),
        nn.ConvTranspose2d(4, 3, 4, 4, 0),
        nn.Tanh(),
    )


class PlainD(nn.Module):
    def __init__(self, finish=lambda logits: logits, style="separate", side=16, slope=0.2):
        super().__init__()
        self.finish, self.style, self.slope = finish, style, slope
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 4, 2, 1), nn.Conv2d(4, 6, 4, 2, 1, bias=False)
        self.norm, self.head = nn.BatchNorm2d(6), nn.Linear(6 * (side // 4) ** 2, 1)
        if style == "shared":
            self.act = nn.LeakyReLU(slope)
        elif style != "function":
            self.act1, self.act2 = (nn.LeakyReLU(slope, inplace=style == "in place") for _ in range(2))

    def activate(self, number, x):
        if self.style == "function":
            return F.leaky_relu(x, self.slope)
        return self.act(x) if self.style == "shared" else (self.act1, self.act2)[number](x)

    def forward(self, x):
        x = self.activate(1, self.norm(self.conv2(self.activate(0, self.conv1(x)))))
        return self.finish(self.head(x.view(x.size(0), -1)))


FINISHES = {
    "(N,)": lambda logits: logits.squeeze(1),
    "(N, 1)": lambda logits: logits,
    "(N, 1, 1, 1)": lambda logits: logits[:, :, None, None],
    "a probability": torch.sigmoid,
    "a probability by a method": lambda logits: logits.sigmoid().view(-1),
    "a tuple": lambda logits: (logits, torch.zeros(len(logits), 10)),
    "a tuple, features first": lambda logits: (torch.zeros(len(logits), 10), logits.squeeze(1)),
    "a dictionary": lambda logits: {"features": torch.zeros(len(logits), 10), "logits": logits},
}
PIXELS = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
BYTES = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), dtype=np.uint8)


@pytest.mark.parametrize("finish", FINISHES)
def test_a_discriminator_gives_one_logit_an_image_whatever_it_returns(finish):
    network = seeded(lambda: PlainD(FINISHES[finish])).eval()
    logits = seeded(PlainD).eval()(PIXELS).squeeze(1)
    checkpoint = da.wrap(discriminator=network)
    torch.testing.assert_close(checkpoint.discriminator()(PIXELS), logits)
    told = " ".join(checkpoint.metadata.provenance.get("adapted", []))
    assert ("turned into a logit" in told) == ("probability" in finish)
    assert ("part" in told) == ("tuple" in finish or "dictionary" in finish)


def test_a_probability_that_rounds_to_one_keeps_its_logit():
    network = nn.Sequential(nn.Conv2d(3, 1, 16), nn.Flatten(), nn.Sigmoid())
    with torch.no_grad():
        network[0].bias.fill_(50)
        network[0].weight.mul_(0.001)
        assert network(PIXELS).tolist() == [[1.0]] * 6
        logits = da.wrap(discriminator=network).discriminator()(PIXELS)
    assert logits.tolist() == pytest.approx([50] * 6, abs=0.1)
    assert len(set(logits.tolist())) == 6


def test_a_map_of_judgements_is_averaged():
    network = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3)))
    checkpoint = da.wrap(discriminator=network, image=(3, 16, 16))
    torch.testing.assert_close(checkpoint.discriminator()(PIXELS), network(PIXELS).mean((1, 2, 3)))
    assert "mean of a map" in checkpoint.metadata.provenance["adapted"][0]


@pytest.mark.parametrize("latent", [None, 7])
@pytest.mark.parametrize("make", [PlainG, convolutional_g])
def test_latent_vectors_have_the_shape_that_the_generator_takes(make, latent):
    network = seeded(make)
    checkpoint = da.wrap(generator=network, latent=latent)
    assert checkpoint.architecture.z_size == 7
    z = checkpoint.latents(5, seed=1)
    assert z.shape == (5, 7)
    with torch.no_grad():
        expected = network.eval()(z if make is PlainG else z[:, :, None, None])
    torch.testing.assert_close(checkpoint.sample(5, seed=1), expected)


def test_latent_vectors_may_have_any_shape_that_is_named():
    class Maps(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, z):
            return torch.tanh(F.interpolate(self.conv(z), scale_factor=4))

    checkpoint = da.wrap(generator=Maps(), latent=(2, 4, 4))
    assert (checkpoint.architecture.z_size, checkpoint.architecture.image_shape) == (32, (3, 16, 16))


def test_a_flat_image_is_given_its_shape():
    network = nn.Sequential(nn.Linear(7, 784), nn.Tanh())
    with pytest.raises(ArchitectureError, match=r"it returns \(2, 784\), which is no image.*image=\(C, H, W\)"):
        da.wrap(generator=network)
    assert da.wrap(generator=network, image=(1, 28, 28)).sample(2, seed=0).shape == (2, 1, 28, 28)


class LabelG(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.embed = kind, nn.Embedding(4, 5) if kind == "embedded" else None
        self.fc = nn.Linear(7 + (5 if kind == "embedded" else 4), 3 * 16 * 16)

    def forward(self, z, y):
        if self.kind == "embedded":
            y = self.embed(y)
        elif self.kind == "one-hot maps":
            y = y.squeeze(3).squeeze(2)
        return torch.tanh(self.fc(torch.cat([z, y], 1))).view(-1, 3, 16, 16)


class LabelD(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.embed = kind, nn.Embedding(4, 2)
        self.conv = nn.Conv2d(3 + (4 if kind == "one-hot images" else 0), 4, 4, 2, 1)
        self.head = nn.Linear(4 * 64 + 2, 1)

    def forward(self, x, y):
        if self.kind == "one-hot images":
            x, y = torch.cat([x, y], 1), y[:, 0, 0, 0].long()
        elif self.kind == "one-hot":
            y = y.float().argmax(1)
        return self.head(torch.cat([torch.relu(self.conv(x)).flatten(1), self.embed(y)], 1))


@pytest.mark.parametrize(
    ("kind", "form"), [("embedded", None), ("one-hot", "one-hot"), ("one-hot maps", "one-hot maps")]
)
def test_a_generator_gets_its_labels_as_it_takes_them(kind, form):
    network = seeded(lambda: LabelG(kind))
    checkpoint = da.wrap(generator=network, classes=4)
    assert (checkpoint.architecture.classes, checkpoint.architecture.z_size) == (4, 7)
    labels, z = torch.tensor([3, 0, 1]), checkpoint.latents(3, seed=0)
    codes = F.one_hot(labels, 4).float()
    given = {"embedded": labels, "one-hot": codes, "one-hot maps": codes[:, :, None, None]}[kind]
    with torch.no_grad():
        torch.testing.assert_close(checkpoint.sample(3, seed=0, labels=labels), network(z, given))
    told = checkpoint.metadata.provenance["adapted"]
    assert (f"generator: labels {form}" in told) == (form is not None)


@pytest.mark.parametrize("kind", ["embedded", "one-hot images"])
def test_a_discriminator_gets_its_labels_as_it_takes_them(kind):
    network = seeded(lambda: LabelD(kind))
    checkpoint = da.wrap(discriminator=network, classes=4, image=(3, 16, 16))
    labels = torch.tensor([3, 0, 1, 1, 2, 0])
    maps = F.one_hot(labels, 4).float()[:, :, None, None].expand(-1, -1, 16, 16)
    with torch.no_grad():
        expected = network(PIXELS, maps if kind == "one-hot images" else labels).squeeze(1)
        torch.testing.assert_close(checkpoint.discriminator()(PIXELS, labels), expected)


def test_a_generator_that_takes_labels_stands_beside_a_discriminator_that_takes_none():
    checkpoint = da.wrap(generator=LabelG("embedded"), discriminator=seeded(PlainD), classes=4)
    assert checkpoint.architecture.classes == 4
    assert checkpoint.discriminator()(PIXELS, torch.zeros(6, dtype=torch.long)).shape == (6,)


def test_generator_and_discriminator_may_be_given_in_that_order_without_names():
    g, d = seeded(convolutional_g), seeded(PlainD)
    assert da.wrap(g, d).sha256() == da.wrap(generator=g, discriminator=d).sha256()


def test_features_of_a_discriminator_without_labels_need_none_beside_a_conditional_generator():
    checkpoint = da.wrap(generator=LabelG("embedded"), discriminator=seeded(PlainD), classes=4)
    alone = da.wrap(discriminator=seeded(PlainD))
    images = np.random.default_rng(0).integers(0, 256, (6, *checkpoint.architecture.image_shape), np.uint8)

    assert checkpoint.architecture.takes_labels("generator")
    assert not checkpoint.architecture.takes_labels("discriminator")
    reference = da.data.Dataset.from_arrays("r", {"train": images}).split("train")
    features = [each.features(images, reference=reference) for each in (checkpoint, alone)]
    assert torch.equal(*features)


def test_the_callers_modules_are_left_as_they_are():
    g, d = seeded(convolutional_g).train(), seeded(PlainD).train()
    d.conv1.weight.grad = torch.ones_like(d.conv1.weight)
    calls = []
    d.conv2.register_forward_hook(lambda *_: calls.append(1) and None)
    snapshots = [Snapshot(g, "generator"), Snapshot(d, "discriminator")]
    state = torch.get_rng_state()
    checkpoint = da.wrap(generator=g, discriminator=d)
    checkpoint.sample(2, seed=0)
    checkpoint.features(BYTES)
    checkpoint.twin(0)
    checkpoint.discriminator().train().requires_grad_(False)
    assert [snapshot.change() for snapshot in snapshots] == [None, None]
    assert "forward" not in vars(d)
    assert (d.conv1.weight.grad == 1).all()
    assert all(parameter.requires_grad for parameter in d.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        d.conv1.weight.zero_()
    assert checkpoint.weights["discriminator"]["conv1.weight"].any()


def test_modules_may_be_wrapped_for_devices_in_half_precision_or_under_former_norms():
    d = seeded(PlainD).double()
    d.conv2 = nn.utils.parametrizations.spectral_norm(d.conv2)
    d(PIXELS.double())
    checkpoint = da.wrap(discriminator=nn.DataParallel(d))
    assert checkpoint.features(BYTES).shape == (6, (4 + 6) * 16)
    assert checkpoint.weights["discriminator"]["conv1.weight"].dtype == torch.float32
    twin = checkpoint.twin(1).weights["discriminator"]["conv2.parametrizations.weight.original"]
    assert not torch.equal(twin, checkpoint.weights["discriminator"]["conv2.parametrizations.weight.original"])


STYLES = {
    "separate": ("act1", "act2"),
    "in place": ("act1", "act2"),
    "shared": ("act:0", "act:1"),
    "function": ("conv1:after", "norm:after"),
}


@pytest.mark.parametrize("style", STYLES)
def test_features_do_not_depend_on_how_activations_are_written(style):
    reference = make_dataset(train=12, test=4, shape=(3, 16, 16)).split("train")
    found = []
    for each in ("separate", style):
        checkpoint = da.wrap(discriminator=seeded(lambda each=each: PlainD(style=each)))
        assert checkpoint.architecture.taps == STYLES[each]
        found.append([checkpoint.features(BYTES), checkpoint.features(BYTES, reference=reference)])
        found[-1].append(checkpoint.features(BYTES, spec=FeatureSpec(taps=("conv1", "norm"), batchnorm="running")))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


def test_features_are_the_pooled_activations():
    network = seeded(PlainD).eval()
    with torch.no_grad():
        x = F.leaky_relu(network.conv1(torch.from_numpy(BYTES).float() / 127.5 - 1), 0.2)
        y = F.leaky_relu(network.norm(network.conv2(x)), 0.2)
    expected = torch.cat([F.max_pool2d(x, 2).flatten(1), y.flatten(1)], dim=1)
    found = da.wrap(discriminator=network).features(BYTES, spec=FeatureSpec(batchnorm="running", precision="float32"))
    torch.testing.assert_close(found, expected)


def test_identity_is_of_weights_and_structure_and_not_of_the_name():
    first = da.wrap(discriminator=seeded(PlainD), name="first")
    assert da.wrap(discriminator=seeded(PlainD), name="second").sha256() == first.sha256()
    other = seeded(PlainD)
    with torch.no_grad():
        other.conv1.bias[0] += 1
    others = [other, seeded(lambda: PlainD(style="function")), seeded(lambda: PlainD(slope=0.1))]
    # These print alike: what they call tells them apart.
    functions = [seeded(lambda s=s: PlainD(style="function", slope=s)) for s in (0.1, 0.3)]
    assert str(functions[0]) == str(functions[1])
    hashes = {da.wrap(discriminator=each).sha256() for each in (*others, *functions)}
    assert len(hashes | {first.sha256()}) == 6


def test_a_twin_has_other_weights_and_the_same_form():
    checkpoint = da.wrap(generator=seeded(convolutional_g), discriminator=seeded(lambda: PlainD(torch.sigmoid)))
    twin = checkpoint.twin(3)
    assert twin.sample(2, seed=0).shape == (2, 3, 16, 16)
    assert not torch.equal(twin.features(BYTES), checkpoint.features(BYTES))
    assert twin.metadata.z_prior == "normal"


def test_it_can_be_run_and_not_saved(tmp_path):
    dataset = make_dataset(shape=(3, 16, 16))
    checkpoint = da.wrap(discriminator=seeded(PlainD), name="mine")
    settings = {"draws": 1, "ablation": False}
    result = da.run("svm-cifar", dataset=dataset, checkpoint=checkpoint, settings=settings, out=tmp_path / "run")
    assert result.checkpoint.name == "mine"
    assert 0 <= result.metrics["accuracy"].value <= 1
    for each in (checkpoint, checkpoint.twin(0), replace(checkpoint, name="other")):
        with pytest.raises(CheckpointError, match=r"wraps modules in memory.*register_module_architecture.*import"):
            each.save(tmp_path / "file.safetensors")
    assert not (tmp_path / "file.safetensors").exists()


def test_a_module_given_in_place_of_a_checkpoint_is_pointed_to_wrap(tmp_path):
    with pytest.raises(
        AnalysisError, match=r"^checkpoint is a torch module \(PlainD\)\. Wrap it: dcgan_analysis\.wrap"
    ):
        da.run("svm-cifar", dataset=make_dataset(), checkpoint=PlainD(), out=tmp_path / "run")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict, r"^There is no network"),
        (lambda: {"generator": PlainG}, r"got the class PlainG; give PlainG\(\.\.\.\)"),
        (lambda: {"discriminator": "D"}, r"The discriminator must be a torch\.nn\.Module, got D"),
        (lambda: {"generator": PlainD()}, r"PlainD cannot be run as a generator\. Tried latent"),
        (
            lambda: {"generator": PlainG(), "latent": 8},
            r"PlainG cannot be run as a generator\. Tried latent",
        ),
        (lambda: {"generator": PlainG(), "discriminator": PlainD(side=32)}, r"PlainD cannot be run.*images 3x16x16"),
        (lambda: {"generator": PlainG(), "image": (3, 32, 32)}, r"returns \(2, 3, 16, 16\), which is no image"),
        (
            lambda: {"generator": PlainG(), "image": (16, 16)},
            r"image must be \(channels, height, width\), got",
        ),
        (lambda: {"generator": PlainG(out=nn.Sigmoid)}, r"ends in a sigmoid.*Give image_range=\(0, 1\)"),
        (
            lambda: {"generator": PlainG(out=nn.Identity)},
            r"makes pixels from -\S+ to \S+, outside of",
        ),
        (lambda: {"generator": PlainG(), "image_range": (0, 255)}, r"image_range must be \(-1, 1\) or \(0, 1\), got"),
        (lambda: {"discriminator": nn.Conv2d(3, 1, 4, 2, 1)}, r"cannot be run as a discriminator"),
        (lambda: {"discriminator": LabelD("embedded")}, r"classes=K if it takes labels"),
        (lambda: {"discriminator": nn.Sequential(nn.LazyConv2d(4, 3))}, r"has layers without weights yet"),
        (lambda: {"discriminator": PlainD().to("meta")}, r"lies on the meta device"),
        (lambda: {"discriminator": torch.jit.trace(PlainD(), PIXELS)}, r"is TorchScript"),
    ],
)
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Lazy modules", "ignore::torch.jit.TracerWarning"
)
def test_what_cannot_be_wrapped_is_refused_in_one_line(given, message):
    with pytest.raises(ArchitectureError, match=message) as error:
        da.wrap(**given())
    assert "\n" not in str(error.value)


def test_a_discriminator_alone_that_takes_several_sizes_needs_to_be_told_which():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    with pytest.raises(ArchitectureError, match=r"judges images of several sizes: \(3, 16, 16\).*Say which: image="):
        da.wrap(discriminator=network)
    assert da.wrap(discriminator=network, image=(3, 20, 24)).features(np.zeros((1, 3, 20, 24), np.uint8)).shape == (
        1,
        64,
    )


def test_taps_that_are_no_modules_are_refused_at_once():
    with pytest.raises(UnknownNameError, match=r"Unknown tap 'conv9'"):
        da.wrap(discriminator=PlainD(), taps=["conv1", "conv9"])
    with pytest.raises(ArchitectureError, match=r"comes by it 2 times"):
        da.wrap(discriminator=PlainD(style="shared"), taps=["act"])
    assert da.wrap(discriminator=PlainD(), taps=["norm"]).architecture.taps == ("norm",)


def test_a_network_of_functions_alone_says_that_it_has_no_taps():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel, self.weight = nn.Parameter(torch.randn(4, 3, 4, 4)), nn.Parameter(torch.randn(1, 4 * 16))

        def forward(self, x):
            return F.linear(F.relu(F.conv2d(x, self.kernel, stride=4)).flatten(1), self.weight)

    checkpoint = da.wrap(discriminator=Bare(), image=(3, 16, 16))
    assert checkpoint.discriminator()(PIXELS).shape == (6,)
    with pytest.raises(ArchitectureError, match=r"names no taps"):
        checkpoint.features(BYTES)


def test_a_network_that_works_in_float32_alone_is_not_asked_for_less(monkeypatch):
    class Fixed(PlainD):
        def forward(self, x):
            return super().forward(x @ torch.eye(x.shape[3]))

    monkeypatch.setattr("dcgan_analysis.features.extractor.choose_precision", lambda *_: torch.bfloat16)
    checkpoint = da.wrap(discriminator=seeded(Fixed))
    expected = da.wrap(discriminator=seeded(PlainD)).features(BYTES, spec=FeatureSpec(batchnorm="running"))
    torch.testing.assert_close(checkpoint.features(BYTES), expected, atol=0.05, rtol=0.05)


def test_tracing_a_wrapped_network_sees_its_layers():
    checkpoint = da.wrap(discriminator=seeded(lambda: PlainD(torch.sigmoid)))
    found = trace(checkpoint.discriminator(), PIXELS)
    assert found.feature_taps == ("act1", "act2")
    assert found.activation == ""


def test_batchnorm_without_running_statistics_is_warned_of():
    network = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU(), nn.Conv2d(4, 1, 8)
        )
    )
    with pytest.warns(UserWarning, match=r"discriminator has BatchNorm without running statistics \(1\): an image's"):
        checkpoint = da.wrap(discriminator=network, image=(3, 16, 16))
    assert len(checkpoint.metadata.provenance["warnings"]) == 1

"""State dicts in the forms that people have: names, wrappers, prefixes, parametrisations, sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from dcgan_analysis.errors import CheckpointError, ConfigError
from dcgan_analysis.models.tables import dcgan32, dcgan32_svhn, dcgan64, dcgan64_4x4

from .conftest import (
    check_discriminator,
    check_generator,
    example_discriminator,
    example_generator,
    prefixed,
    randn,
    scramble,
)

PREFIXES = ["", "main.", "module.", "_orig_mod.", "module._orig_mod.main.", "netG.", "layers.", "model.gen."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_of_any_wrapper_changes_nothing(prefix, tmp_path, read):
    generator = example_generator()
    torch.save(prefixed(generator.state_dict(), prefix), tmp_path / "weights.pth")
    checkpoint = read(tmp_path / "weights.pth")
    assert (set(checkpoint.weights), checkpoint.architecture.z_size) == ({"generator"}, 5)
    check_generator(checkpoint, generator)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sizes_and_channels_are_inferred(size, channels, tmp_path, read):
    generator, discriminator = example_generator(size, nc=channels), example_discriminator(size, nc=channels)
    torch.save(generator.state_dict(), tmp_path / "netG.pth")
    torch.save(discriminator.state_dict(), tmp_path / "netD.pth")
    checkpoint = read(tmp_path)
    assert checkpoint.architecture.image_shape == (channels, size, size)
    check_generator(checkpoint, generator)
    check_discriminator(checkpoint, discriminator)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("old_format", [False, True])
def test_biases_and_the_old_file_format_are_read(bias, old_format, tmp_path, read):
    generator = example_generator(bias=bias)
    path = tmp_path / "g.pth"
    torch.save(generator.state_dict(), path, _use_new_zipfile_serialization=not old_format)
    check_generator(read(path), generator)


WRAPPERS = {
    "a state_dict beside an epoch": lambda g, d: {"epoch": 5, "state_dict": g},
    "netG and netD with optimisers": lambda g, d: {
        "epoch": 5,
        "netG": g,
        "netD": d,
        "optimizerG": {"state": {0: {"exp_avg": torch.ones(3, 3)}}, "param_groups": [{"params": [0]}]},
        "loss": [0.1, 0.2],
        "fixed_noise": torch.ones(64, 5),
    },
    "generator and discriminator": lambda g, d: {"generator": g, "discriminator": d},
    "G_state_dict": lambda g, d: {"G_state_dict": g, "D_state_dict": d, "G_optim_state_dict": {"x": torch.ones(2, 2)}},
    "deep": lambda g, d: {"run": {"models": {"params": {"g": g, "d": d}}}},
    "one flat dictionary": lambda g, d: {**prefixed(g, "netG.main."), **prefixed(d, "netD.main.")},
    "lightning": lambda g, d: {
        "epoch": 5,
        "pytorch-lightning_version": "2.0",
        "state_dict": {**prefixed(g, "generator.model."), **prefixed(d, "discriminator.model.")},
        "optimizer_states": [{"state": {}, "param_groups": []}],
    },
    "a list of both": lambda g, d: [g, d],
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_networks_are_found_in_dictionaries_of_any_nesting(name, tmp_path, read):
    generator, discriminator = example_generator(), example_discriminator()
    document = WRAPPERS[name](generator.state_dict(), discriminator.state_dict())
    torch.save(document, tmp_path / "checkpoint.pth.tar")
    checkpoint = read(tmp_path / "checkpoint.pth.tar")
    check_generator(checkpoint, generator)
    if "beside" not in name:
        check_discriminator(checkpoint, discriminator)
    assert checkpoint.metadata.epoch == (5 if isinstance(document, dict) and "epoch" in document else 0)


def test_several_candidates_are_named_with_the_setting_that_chooses(tmp_path, read):
    one, other = example_generator(), example_generator(ngf=4)
    torch.save({"netG": one.state_dict(), "g_ema": other.state_dict()}, tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match=r"could be the generator: netG, g_ema\. Choose one: --set key=netG$"):
        read(tmp_path / "both.pth")
    check_generator(read(tmp_path / "both.pth", key="g_ema"), other)
    with pytest.raises(CheckpointError, match=r"holds nothing under the key 'netH'\. It holds 'netG', 'g_ema'\."):
        read(tmp_path / "both.pth", key="netH")


def test_what_a_network_is_its_arrays_tell_where_names_do_not_or_lie(tmp_path, read):
    discriminator = example_discriminator()
    for name in ("weights.bin", "netG.pth"):
        torch.save(discriminator.state_dict(), tmp_path / name)
        assert set(read(tmp_path / name).weights) == {"discriminator"}
    torch.save(discriminator.state_dict(), tmp_path / "netD.pth")
    with pytest.raises(CheckpointError, match=r"'netG\.pth' and 'netD\.pth' both hold a discriminator\."):
        read(tmp_path / "netG.pth", tmp_path / "netD.pth")


def test_networks_for_images_of_other_sizes_do_not_belong_together(tmp_path, read):
    torch.save(example_generator(32).state_dict(), tmp_path / "netG.pth")
    torch.save(example_discriminator(128).state_dict(), tmp_path / "netD.pth")
    with pytest.raises(CheckpointError, match=r"for images of 3x32x32, the discriminator for 3x128x128: they do not"):
        read(tmp_path / "netG.pth", tmp_path / "netD.pth")


def _warmed(module):
    """Let the power iteration of a parametrisation run a few times."""
    module.train()
    with torch.no_grad():
        for _ in range(5):
            module(randn(2, 3, 64, 64))
    return module.eval()


@pytest.mark.parametrize(
    "wrap", [spectral_norm, parametrizations.spectral_norm, weight_norm, parametrizations.weight_norm]
)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")
def test_weights_stored_in_parts_are_put_together(wrap, tmp_path, read):
    discriminator = _warmed(example_discriminator(wrap=wrap))
    torch.save(discriminator.state_dict(), tmp_path / "netD.pth")
    images = randn(4, 3, 64, 64)
    with torch.no_grad():
        mine = read(tmp_path / "netD.pth").discriminator()(images)
        torch.testing.assert_close(torch.sigmoid(mine), discriminator(images).flatten(), rtol=1e-5, atol=1e-6)


def test_spectral_normalisation_of_transposed_kernels_goes_by_their_second_axis(tmp_path, read):
    # A square kernel, of which the array alone does not say which axis the vectors belong to.
    generator = nn.Sequential(
        *[nn.ConvTranspose2d(5, 8, 4, 1, 0), nn.ReLU()],
        *[spectral_norm(nn.ConvTranspose2d(8, 8, 4, 2, 1)), nn.ReLU()],
        *[spectral_norm(nn.ConvTranspose2d(8, 4, 4, 2, 1)), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.Tanh()],
    )
    with torch.no_grad():
        for _ in range(5):
            generator.train()(randn(2, 5, 1, 1))
    torch.save(generator.eval().state_dict(), tmp_path / "g.pth")
    with torch.no_grad():
        z = randn(3, 5)
        images = read(tmp_path / "g.pth").generator()(z)
        torch.testing.assert_close(images, generator(z[:, :, None, None]), rtol=1e-5, atol=1e-6)


def test_half_precision_is_read_as_it_is(tmp_path, read):
    state = example_generator().half().state_dict()
    torch.save(state, tmp_path / "g.pth")
    check_generator(read(tmp_path / "g.pth"), _float(example_generator(), state))


def _float(module, state):
    module.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    )
    return module


class TestStatistics:
    def test_missing_ones_are_estimated_and_said(self, tmp_path, read):
        state = {
            name: v
            for name, v in example_generator().state_dict().items()
            if "running" not in name and "num" not in name
        }
        torch.save(state, tmp_path / "g.pth")
        provenance = read(tmp_path / "g.pth").metadata.provenance
        assert provenance["batchnorm"]["generator"].startswith("re-estimated on 2,560 latent vectors")
        assert any("statistics are not there" in each["what"] for each in provenance["assumed"])

    def test_stale_ones_are_warned_of_and_can_be_estimated(self, tmp_path, read):
        generator, discriminator = example_generator(), example_discriminator()
        trained = read_statistics(generator)
        for name, module in (("netG", generator), ("netD", discriminator)):
            for child in module.modules():
                if isinstance(child, nn.BatchNorm2d):
                    child.reset_running_stats()
            torch.save(module.state_dict(), tmp_path / f"{name}.pth")
        stale = read(tmp_path)
        warnings = stale.metadata.provenance["warnings"]
        assert [
            each for each in warnings if "never updated in 4 of 4 layers" in each and "batchnorm=reestimate" in each
        ]
        anew = read(tmp_path, batchnorm="reestimate")
        assert trained is not None
        notes = anew.metadata.provenance["batchnorm"]
        assert notes["generator"].startswith("re-estimated on 2,560 latent vectors")
        assert notes["discriminator"].startswith("re-estimated on 512 samples of the generator")
        with torch.no_grad():
            expected = generator.train()(anew.latents(500, 1)[:, :, None, None])
            images = anew.sample(500, 1)
        # In training mode the network normalises by the batch, which is what the estimate stands for.
        assert float((images - expected).abs().mean()) < 0.05 * float(expected.std())

    def test_the_discriminators_can_be_estimated_on_given_images(self, tmp_path, read, host):
        torch.save(example_discriminator(32, nc=1).state_dict(), tmp_path / "netD.pth")
        with pytest.raises(CheckpointError, match=r"need images, and there is no generator.*reference="):
            read(tmp_path / "netD.pth", batchnorm="reestimate")
        note = read(tmp_path / "netD.pth", reference="digits").metadata.provenance["batchnorm"]["discriminator"]
        assert note.startswith("re-estimated on 1,280 images of")


def read_statistics(module):
    return [child.running_mean.clone() for child in module.modules() if isinstance(child, nn.BatchNorm2d)]


def _plain(architecture, role):
    """Write a table of ours as a plain nn.Sequential of torch's own modules."""
    layers, shape = [], (architecture.z_size,) if role == "generator" else architecture.image_shape
    for layer in architecture.layers(role):
        size = layer.kernel if isinstance(layer.kernel, int) else 0
        pad = (size - 1) // 2
        if layer.kind == "linear":
            inputs = 1
            for extent in shape:
                inputs *= extent
            layers += [nn.Flatten()] if len(shape) > 1 else []
            layers.append(nn.Linear(inputs, layer.out, bias=False))
            norm = nn.BatchNorm1d(layer.out)
            if layer.reshape and layer.batchnorm_maps:
                layers.append(nn.Unflatten(1, layer.reshape))
                norm = nn.BatchNorm2d(layer.reshape[0])
            layers += [norm] if layer.batchnorm else []
            if layer.reshape and not layer.batchnorm_maps:
                layers.append(nn.Unflatten(1, layer.reshape))
            shape = layer.reshape or (layer.out,)
        else:
            if layer.kind == "conv":
                layers.append(nn.Conv2d(shape[0], layer.out, size, layer.stride, pad, bias=False))
                shape = (layer.out, -(-shape[1] // layer.stride), -(-shape[2] // layer.stride))
            else:
                rest = layer.stride - size + 2 * pad
                layers.append(nn.ConvTranspose2d(shape[0], layer.out, size, layer.stride, pad, rest, bias=False))
                shape = (layer.out, shape[1] * layer.stride, shape[2] * layer.stride)
            layers += [nn.BatchNorm2d(layer.out)] if layer.batchnorm else []
        layers += {"relu": [nn.ReLU()], "leaky_relu": [nn.LeakyReLU(0.2)], "tanh": [nn.Tanh()]}.get(
            layer.activation, []
        )
    return scramble(nn.Sequential(*layers))


ARCHITECTURES = [dcgan32, dcgan32_svhn, dcgan64, dcgan64_4x4]


@pytest.mark.parametrize("table", ARCHITECTURES, ids=lambda table: table.__name__)
@pytest.mark.parametrize("form", ["wrapped", "two files", "whole modules", "attributes"])
def test_every_architecture_of_ours_comes_back_without_one_setting(table, form, tmp_path, read):
    architecture = table(width=4, z_size=6)
    generator, discriminator = _plain(architecture, "generator"), _plain(architecture, "discriminator")
    if form == "wrapped":
        torch.save({"netG": generator.state_dict(), "netD": discriminator.state_dict()}, tmp_path / "model.pt")
        paths = [tmp_path / "model.pt"]
    else:
        paths = [tmp_path / "a.pt", tmp_path / "b.pt"]
        for path, module in zip(paths, (generator, discriminator), strict=True):
            saved = module
            if form == "two files":
                saved = prefixed(module.state_dict(), "main.")
            elif form == "attributes":
                saved = _as_attributes(module)
            torch.save(saved, path)
    checkpoint = read(*paths)
    assert checkpoint.architecture.image_shape == architecture.image_shape
    check_generator(checkpoint, generator, lambda z: z)
    check_discriminator(checkpoint, discriminator)


def _as_attributes(module):
    """Name modules as attributes of a class, conv1, bn1, conv2, ..., all kernels before all normalisations."""
    kernels = [i for i, each in enumerate(module) if isinstance(each, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)]
    norms = [i for i, each in enumerate(module) if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d)]
    names = {number: f"layer{n}" for n, number in enumerate(kernels)} | {
        number: f"bn{n}" for n, number in enumerate(norms)
    }
    state = module.state_dict()
    return {
        f"{names[number]}.{name.split('.', 1)[1]}": value
        for number in [*kernels, *norms]
        for name, value in state.items()
        if name.startswith(f"{number}.")
    }


def test_all_that_was_assumed_can_be_said_and_is_assumed_no_more(tmp_path, read):
    torch.save(_plain(dcgan64(width=4, z_size=6), "generator").state_dict(), tmp_path / "g.pth")
    first = read(tmp_path / "g.pth")
    said = {}
    for each in first.metadata.provenance["assumed"]:
        for name, value in each["settings"].items():
            outer, _, inner = name.partition(".")
            if inner:
                said.setdefault(outer, {})[inner] = value
            else:
                said[name] = value
    again = read(tmp_path / "g.pth", **said)
    assert again.metadata.provenance["assumed"] == []
    assert again.sha256() == first.sha256()


SETTINGS = [
    ({"generator": {"activation": "leaky_relu", "slope": 0.3}}, nn.LeakyReLU(0.3), nn.Tanh()),
    ({"activation": "elu"}, nn.ELU(), nn.Tanh()),
    ({"generator": {"output": "sigmoid"}}, nn.ReLU(), nn.Sigmoid()),
    ({"batchnorm_eps": 0.8}, nn.ReLU(), nn.Tanh()),
]


@pytest.mark.parametrize(("settings", "hidden", "output"), SETTINGS)
def test_a_setting_says_what_the_file_does_not(settings, hidden, output, tmp_path, read):
    generator = example_generator(32)
    for number, layer in enumerate(generator):
        if isinstance(layer, nn.ReLU):
            generator[number] = hidden
        elif isinstance(layer, nn.BatchNorm2d) and "batchnorm_eps" in settings:
            layer.eps = settings["batchnorm_eps"]
    generator[-1] = output
    torch.save(generator.state_dict(), tmp_path / "g.pth")
    checkpoint = read(tmp_path / "g.pth", **settings)
    check_generator(checkpoint, generator)
    assert checkpoint.architecture.image_range == ((0, 1) if isinstance(output, nn.Sigmoid) else (-1, 1))


def test_strides_said_layer_by_layer_are_taken(tmp_path, read):
    generator = scramble(
        nn.Sequential(
            *[nn.ConvTranspose2d(5, 8, 4, 1, 0), nn.ReLU(), nn.ConvTranspose2d(8, 6, 5, 3, 1, 1), nn.ReLU()],
            *[nn.ConvTranspose2d(6, 3, 4, 2, 1), nn.Tanh()],
        )
    )
    torch.save(generator.state_dict(), tmp_path / "g.pth")
    own = {"stride": [1, 3, 2], "padding": [0, 1, 1], "output_padding": [0, 1, 0]}
    checkpoint = read(tmp_path / "g.pth", image_size=26, generator=own)
    check_generator(checkpoint, generator)
    with pytest.raises(ConfigError, match=r"generator\.stride lists 2 values, the generator has 3 layers"):
        read(tmp_path / "g.pth", generator={"stride": [1, 3]})


def test_a_network_that_fits_no_size_is_told_with_its_shapes(tmp_path, read):
    torch.save(nn.Sequential(nn.Conv2d(3, 7, 3), nn.Conv2d(9, 11, 3)).state_dict(), tmp_path / "x.pth")
    with pytest.raises(
        CheckpointError, match=r"its arrays make no generator or discriminator whose sizes fit \(0 \(7, 3"
    ):
        read(tmp_path / "x.pth")


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("noise", (1, 1, 4, 4), r"Array 'noise' of shape \(1, 1, 4, 4\) belongs to no kind of layer.*--set ignore="),
        ("attn.query.weight", (4, 8, 1, 1), r"Array 'attn\.query\.weight' belongs to a branch \(residual, attention"),
        ("layer1.shortcut.weight", (4, 8, 1, 1), r"belongs to a branch"),
        ("embed.weight", (10, 77), r"conditioned on classes in a way that is not known here: its embedding of size 77"),
    ],
)
def test_what_no_table_can_say_is_refused_by_name(name, shape, message, tmp_path, read):
    torch.save({**example_generator().state_dict(), name: torch.ones(shape)}, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path / "g.pth")
    check_generator(read(tmp_path / "g.pth", ignore=[name.removesuffix(".weight")]), example_generator())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("1.running_var", (5,), r"Array '1\.running_var' has shape \(5,\), '1\.weight' beside it \(24,\)\."),
        ("0.weight", (5, 24, 4, 4), None),
    ],
)
def test_a_misshapen_array_is_named(name, shape, message, tmp_path, read):
    state = example_generator().state_dict()
    torch.save({**state, name: torch.ones(shape)}, tmp_path / "g.pth")
    if message is None:
        read(tmp_path / "g.pth")
        return
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path / "g.pth")


def test_values_that_are_no_numbers_are_named(tmp_path, read):
    state = example_generator().state_dict()
    state["3.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"Array '3\.weight' holds values that are infinite or no numbers\."):
        read(tmp_path / "g.pth")


def test_folders_with_several_epochs_ask_for_one(tmp_path, read):
    for epoch in (3, 24):
        torch.save(example_generator(32, nz=epoch).state_dict(), tmp_path / f"netG_epoch_{epoch}.pth")
        torch.save(example_discriminator(32).state_dict(), tmp_path / f"netD_epoch_{epoch}.pth")
    with pytest.raises(
        CheckpointError, match=r"holds 2 files of a generator \(netG_epoch_24\.pth, netG_epoch_3\.pth\)\. "
    ):
        read(tmp_path)
    checkpoint = read(tmp_path, epoch=3)
    assert (checkpoint.architecture.z_size, checkpoint.metadata.epoch) == (3, 3)
    with pytest.raises(CheckpointError, match=r"holds no files of epoch 4\."):
        read(tmp_path, epoch=4)

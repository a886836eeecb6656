from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from dcgan_analysis.checkpoints.checkpoint import Checkpoint, read_checkpoint
from dcgan_analysis.errors import ArchitectureError
from dcgan_analysis.features.extractor import FeatureExtractor, FeatureSpec
from dcgan_analysis.models.architecture import ROLES, Layer
from dcgan_analysis.models.layers import _MODULE_MEMBERS, layers, row
from dcgan_analysis.models.registry import builtin_architectures
from dcgan_analysis.models.tables import dcgan32, dcgan64
from dcgan_analysis.models.tracing import trace_role

GENERATOR = [
    {"name": "seed", "kind": "deconv", "out": 8, "kernel": 4, "padding": 0, "norm": "batch", "activation": "relu"},
    {"name": "up", "kind": "upsample", "stride": 2},
    {"name": "fill", "kind": "conv", "out": 8, "kernel": 3, "bias": True, "norm": "instance", "activation": "prelu"},
    {"name": "image", "kind": "deconv", "out": 1, "kernel": 5, "stride": 2, "padding": "same", "activation": "tanh"},
]
DISCRIMINATOR = [
    {"name": "conv1", "kind": "conv", "out": 6, "kernel": 5, "stride": 2, "padding": "same", "bias": True},
    {"name": "act1", "kind": "identity", "activation": "leaky_relu", "slope": 0.3},
    {"name": "conv2", "kind": "conv", "out": 8, "kernel": 3, "norm": "batch", "norm_eps": 0.001, "activation": "elu"},
    {"name": "pooled", "kind": "average_pool", "kernel": 2, "stride": 2},
    {"name": "logit", "kind": "linear", "out": 1, "bias": True, "order": "hwc", "activation": "sigmoid"},
]
BOTH = {"generator": GENERATOR, "discriminator": DISCRIMINATOR, "image_shape": [1, 16, 16], "z_size": 5}


def as_layers(architecture, **changes):
    """Say a built-in architecture's tables as the parameters of ``layers``."""
    norm = {"norm_eps": architecture.batchnorm_eps, "norm_affine": architecture.batchnorm_affine}
    tables = {role: [row(replace(each, **norm)) for each in architecture.layers(role)] for role in ROLES}
    return layers(
        **{
            **tables,
            "image_shape": list(architecture.image_shape),
            "image_range": list(architecture.image_range),
            "z_size": architecture.z_size,
            "classes": architecture.classes,
            **changes,
        }
    )


def test_every_built_in_architecture_said_as_layers_computes_the_same_bits(architecture):
    said = as_layers(architecture)
    original = Checkpoint.random(architecture, seed=1)
    labels = torch.arange(4) % architecture.classes if architecture.classes else None
    z = original.latents(4, seed=2)

    images = original.generator()(z, labels)
    same = replace(original, architecture=said)

    assert torch.equal(same.generator()(z, labels), images)
    assert torch.equal(same.discriminator()(images, labels), original.discriminator()(images, labels))
    assert said.taps == architecture.taps


def test_tables_are_plain_values_that_build_the_same_again():
    architecture = layers(**BOTH)

    again = layers(**json.loads(json.dumps(architecture.parameters)))

    assert again.identity() == architecture.identity()
    assert again.generator_layers == architecture.generator_layers
    assert again.parameters["generator"] == GENERATOR
    assert again.parameters["discriminator"] == DISCRIMINATOR


def test_what_is_said_in_two_ways_is_one_architecture():
    other = [dict(each) for each in DISCRIMINATOR]
    other[2] |= {"kernel": [3, 3], "stride": 1, "bias": False, "padding": None, "groups": 1}

    assert layers(**BOTH | {"discriminator": other}).identity() == layers(**BOTH).identity()
    objects = list(layers(**BOTH).generator_layers)
    assert layers(**BOTH | {"generator": objects}).identity() == layers(**BOTH).identity()


def test_a_row_says_what_a_layer_of_the_papers_networks_does():
    assert row(Layer("deconv1", "deconv", 64, 5, 2, activation="relu", padding=0, slope=0.0)) == {
        "name": "deconv1",
        "kind": "deconv",
        "out": 64,
        "kernel": 5,
        "stride": 2,
        "activation": "relu",
        "padding": 0,
        "norm": "batch",
        "slope": 0.0,
    }
    assert row(Layer("logit", "linear", 1, batchnorm=False)) == {"name": "logit", "kind": "linear", "out": 1}


def test_taps_are_where_the_activation_of_each_convolution_is():
    assert layers(**BOTH).taps == ("act1", "conv2")
    assert as_layers(dcgan64(width=4)).taps == ("conv1", "conv2", "conv3", "conv4")
    ends_in_conv = [*DISCRIMINATOR[:3], {"name": "last", "kind": "conv", "out": 1, "kernel": 8, "padding": 0}]
    assert layers(**BOTH | {"discriminator": ends_in_conv}).taps == ("act1", "conv2")
    dense = [{"name": "hidden", "kind": "linear", "out": 3}, {"name": "logit", "kind": "linear", "out": 1}]
    assert layers(discriminator=dense).taps == ("hidden",)
    bare = [{k: v for k, v in each.items() if k != "activation"} for each in DISCRIMINATOR]
    assert layers(**BOTH | {"discriminator": bare}).taps == ("conv1", "conv2")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"activation": "relu", "norm": "batch"},
        {"activation": "relu", "norm": "batch", "norm_after_activation": True},
        {"activation": "none", "norm": "instance"},
    ],
)
def test_taps_are_where_a_forward_pass_shows_the_activations(change):
    architecture = layers(**with_row(3, **change))

    traced = trace_role(architecture.discriminator(), architecture, "discriminator")

    assert architecture.taps == traced.feature_taps
    assert len(architecture.taps) == (1 if change.get("activation") == "none" else 2)


def test_the_sigmoid_at_a_discriminators_end_is_left_off():
    architecture = layers(**BOTH)
    plain = [*DISCRIMINATOR[:-1], {**DISCRIMINATOR[-1], "activation": "none"}]
    checkpoint = Checkpoint.random(architecture, seed=0)
    images = checkpoint.sample(3, seed=1)
    logits = checkpoint.discriminator()(images)

    bare = replace(checkpoint, architecture=layers(**BOTH | {"discriminator": plain}))

    assert logits.shape == (3,)
    assert torch.equal(bare.discriminator()(images), logits)


def test_a_checkpoint_of_layers_is_saved_and_read_again(tmp_path):
    entries = {entry.name: entry for entry in builtin_architectures()}
    checkpoint = Checkpoint.random(layers(**BOTH), seed=3)
    checkpoint.save(tmp_path / "mine.safetensors")

    again = read_checkpoint(tmp_path / "mine.safetensors", entries)

    assert again.sha256() == checkpoint.sha256()
    assert torch.equal(again.sample(4, seed=5), checkpoint.sample(4, seed=5))


def test_the_twin_has_the_same_tables_and_other_weights():
    checkpoint = Checkpoint.random(layers(**BOTH), seed=3)

    twin = checkpoint.twin(seed=0)

    assert twin.architecture.identity() == checkpoint.architecture.identity()
    for role in ROLES:
        weights = twin.weights[role]
        kernels = [name for name in weights if name.endswith("operation.weight")]
        assert len(kernels) >= 3
        assert not any(torch.equal(weights[name], checkpoint.weights[role][name]) for name in kernels)


@pytest.mark.parametrize("role", ROLES)
def test_one_side_may_be_missing(role, tmp_path):
    entry = {entry.name: entry for entry in builtin_architectures()}["layers"]
    other = next(each for each in ROLES if each != role)
    architecture = entry.create(**BOTH | {other: None})
    checkpoint = Checkpoint.random(architecture, seed=0)
    checkpoint.save(tmp_path / "half.safetensors")

    again = read_checkpoint(tmp_path / "half.safetensors", {"layers": entry})

    assert (again.has(role), again.has(other)) == (True, False)
    assert set(again.twin(1).weights) == {role}
    with pytest.raises(ArchitectureError, match=rf"^Architecture 'layers' has no {other}\. Use one that has it\.$"):
        architecture.network(other)


def test_a_network_without_conditional_rows_asks_for_no_labels():
    conditional = [{**GENERATOR[0], "conditional": True, "label": "embedding_multiply"}, *GENERATOR[1:]]
    checkpoint = Checkpoint.random(layers(**BOTH | {"generator": conditional, "classes": 3}), seed=0)

    images = checkpoint.generator()(checkpoint.latents(3, seed=0), torch.arange(3))

    assert checkpoint.discriminator()(images).shape == (3,)
    assert [checkpoint.architecture.takes_labels(role) for role in ROLES] == [True, False]
    assert FeatureExtractor(
        checkpoint.discriminator(), checkpoint.architecture, FeatureSpec(batchnorm="running"), torch.device("cpu")
    )
    with pytest.raises(ArchitectureError, match="is conditional: give labels"):
        checkpoint.generator()(checkpoint.latents(3, seed=0))


def with_row(number, **changes):
    rows = [dict(each) for each in DISCRIMINATOR]
    rows[number - 1] |= changes
    return BOTH | {"discriminator": [{k: v for k, v in each.items() if v != "left out"} for each in rows]}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, r"give the layer table of a generator, of a discriminator, or both"),
        (BOTH | {"generator": []}, r"generator must be a list of 1 to 1000 rows, got \[\]"),
        (BOTH | {"generator": "conv"}, r"generator must be a list of 1 to 1000 rows, got 'conv'"),
        (BOTH | {"generator": [1]}, r"generator row 1 must be a table of fields and values, got 1"),
        (BOTH | {"image_shape": [1, 16]}, r"image_shape must be \[channels, height, width\], got \[1, 16\]"),
        (BOTH | {"image_range": [1, -1]}, r"image_range must be \[lowest, highest\], got \[1, -1\]"),
        (BOTH | {"z_size": 0}, r"z_size must be a whole number > 0, got 0"),
        (BOTH | {"classes": -1}, r"classes must be a whole number >= 0, got -1"),
        (with_row(1, kernal=3), r"row 1 \('conv1'\) has a field 'kernal', which no layer .*\. Did you mean 'kernel'\?"),
        (with_row(1, kind="conv3d"), r"row 1 \('conv1'\): kind must be one of linear, conv, .*, got 'conv3d'"),
        (with_row(1, kind="left out"), r"row 1 \('conv1'\) lacks kind: one of linear, conv, "),
        (with_row(1, kernel="left out"), r"row 1 \('conv1'\) lacks kernel: a whole number > 0, or two of them"),
        (with_row(1, kernel=0), r"kernel must be a whole number > 0, or two of them, got 0"),
        (with_row(1, kernel=[3, 3, 3]), r"kernel must be a whole number > 0, or two of them, got \[3, 3, 3\]"),
        (with_row(1, out=True), r"out must be a whole number > 0, got True"),
        (with_row(1, dilation=2), r"row 1 \('conv1'\): dilation must be 1: no other is known here, got 2"),
        (with_row(1, groups=3), r"row 1 \('conv1'\): groups must be 1: no other is known here, got 3"),
        (with_row(1, padding="valid"), r"padding must be a whole number >= 0, \[left, .*\] or same, got 'valid'"),
        (with_row(1, padding=[1, 1, 1, -1]), r"padding must be .*, got \[1, 1, 1, -1\]"),
        (with_row(1, name="a.b"), r"name must be a word of letters, digits and _, a letter first, got 'a\.b'"),
        (with_row(1, name="conv2"), r"row 3: name must be another than those before it, got 'conv2'"),
        (with_row(1, output_padding=1), r"row 1 \('conv1'\) has output_padding 1, which conv does not take"),
        (with_row(1, norm_eps=math.nan), r"norm_eps must be a number >= 0, got nan"),
        (with_row(4, bias=True), r"row 4 \('pooled'\) has bias True, which average_pool does not take\. Leave it out"),
        (with_row(4, kernel=20), r"row 4 \('pooled'\) takes an input of shape \(8, 8, 8\): nothing is left of it"),
        (with_row(3, norm="group", norm_groups=3), r"8 channels cannot be split into 3 groups"),
        (with_row(3, conditional=True), r"row 3 \('conv2'\) takes .*: conditional needs classes"),
        (with_row(3, label="embedding_add"), r"conditional must be true where label is embedding_add, got False"),
        (with_row(5, out=2), r"the discriminator makes shape \(2,\) of an image, not one number\.$"),
        (with_row(5, kind="conv", kernel=3, order="chw"), r"makes shape \(1, 4, 4\) .* of kind global_average_pool\.$"),
        (BOTH | {"z_size": 2**26}, r"generator row 1 \('seed'\) makes the network too large for memory: 8,589,"),
        (with_row(1, out=2**27), r"discriminator row 1 \('conv1'\) makes the network too large for memory: "),
        (with_row(1, padding=2**20), r"discriminator row 1 \('conv1'\) makes the network too large for memory: "),
        (with_row(1, out=2**40), r"out must be a whole number > 0, got 1099511627776"),
        (BOTH | {"image_shape": [1, 32, 32]}, r"makes images of shape \(1, 16, 16\), image_shape is \(1, 32, 32\)"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_hold_is_refused_in_one_line(parameters, message):
    with pytest.raises(ArchitectureError, match=message) as caught:
        layers(**parameters)
    assert str(caught.value).startswith("Architecture 'layers': ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["half", "forward", "architecture", "training"])
def test_a_name_that_modules_need_themselves_is_refused(name):
    message = rf"row 1 \('{name}'\): no layer can be called '{name}': torch has it\. Rename it\."
    with pytest.raises(ArchitectureError, match=message):
        layers(**with_row(1, name=name))


def test_the_names_that_are_refused_are_those_of_torch_modules():
    members = {name for name in dir(torch.nn.Module()) if not name.startswith("_")}
    assert members - _MODULE_MEMBERS == set()


def test_embeddings_must_have_the_shape_of_what_they_are_added_to():
    def table(**fields):
        return with_row(3, conditional=True, **fields) | {"classes": 3}

    assert layers(**table(label="embedding", embedding=[1, 8, 8])).classes == 3
    for fields in ({"label": "embedding", "embedding": [1, 4, 4]}, {"label": "embedding_add", "embedding": 5}):
        with pytest.raises(ArchitectureError, match=r"an embedding of shape .* cannot be joined to \(6, 8, 8\)\.$"):
            layers(**table(**fields))
    with pytest.raises(ArchitectureError, match="embedding must be given where it is joined, got None"):
        layers(**table(label="embedding"))


def test_batchnorms_own_settings_are_kept():
    checkpoint = Checkpoint.random(as_layers(dcgan32(width=4, z_size=6, batchnorm_eps=0.25)), seed=0)
    assert checkpoint.discriminator().conv2.norm.eps == 0.25

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from dcgan_analysis import load_checkpoint
from dcgan_analysis.checkpoints.catalogue import list_checkpoints
from dcgan_analysis.checkpoints.checkpoint import Checkpoint, read_checkpoint
from dcgan_analysis.checkpoints.metadata import CheckpointMetadata
from dcgan_analysis.core.registry import Registry
from dcgan_analysis.errors import ArchitectureError, CheckpointError, ConfigError
from dcgan_analysis.models import tables
from dcgan_analysis.models.registry import ArchitectureEntry, builtin_architectures

ARCHITECTURE = tables.dcgan32_svhn(width=4, z_size=6, image_channels=1)


@pytest.fixture
def architectures():
    registry = Registry[ArchitectureEntry]("architecture")
    for entry in builtin_architectures():
        registry.add(entry.name, entry, owner="test")
    return registry


@pytest.fixture
def checkpoint():
    return Checkpoint.random(ARCHITECTURE, seed=0, name="mine")


@pytest.fixture
def rewrite(checkpoint, tmp_path):
    """Save the checkpoint, let ``change(tensors, header)`` alter it, and return the path."""

    def make(change):
        path = tmp_path / "changed.safetensors"
        checkpoint.save(path)
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        # As a file of another program has none: what is changed here is more than a damaged byte.
        del header["checksums"]
        change(tensors, header)
        save_file(tensors, path, metadata=header)
        return path

    return make


def same_weights(first, second):
    return all(
        first.weights[role].keys() == second.weights[role].keys()
        and all(torch.equal(first.weights[role][name], second.weights[role][name]) for name in first.weights[role])
        for role in ("generator", "discriminator")
    )


def test_what_is_saved_is_read(checkpoint, architectures, tmp_path):
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path)

    again = read_checkpoint(path, architectures)

    assert (again.name, again.path) == ("mine", path)
    assert again.architecture == checkpoint.architecture
    assert again.metadata == checkpoint.metadata
    assert same_weights(again, checkpoint)
    for role in (None, "generator", "discriminator"):
        assert again.sha256(role) == checkpoint.sha256(role)


def test_half_precision_rounds_kernels_and_keeps_batchnorm(checkpoint, architectures, tmp_path):
    # A variance beyond the range of float16, and one that would vanish in it.
    checkpoint.weights["discriminator"]["conv2.norm.running_var"][:2] = torch.tensor([1e6, 1e-9])
    path = tmp_path / "half.safetensors"

    checkpoint.save(path, half=True)

    again = read_checkpoint(path, architectures)
    stored = load_file(path)
    assert stored["generator.project.operation.weight"].dtype == torch.float16
    for role in ("generator", "discriminator"):
        for name, tensor in checkpoint.weights[role].items():
            read = again.weights[role][name]
            assert read.dtype == tensor.dtype
            if tensor.dim() > 1:
                torch.testing.assert_close(read, tensor, rtol=2**-11, atol=2**-25)
            else:
                assert torch.equal(read, tensor)


def test_saving_half_again_changes_nothing(checkpoint, architectures, tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", half=True)
    once = read_checkpoint(tmp_path / "a.safetensors", architectures)
    once.save(tmp_path / "b.safetensors", half=True)

    assert read_checkpoint(tmp_path / "b.safetensors", architectures).sha256() == once.sha256()


def test_a_file_is_replaced_only_by_a_whole_one(checkpoint, architectures, tmp_path, small_files):
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path)

    with small_files(1000), pytest.raises(OSError, match="File too large"):
        checkpoint.twin(1).save(path)

    assert read_checkpoint(path, architectures).sha256() == checkpoint.sha256()
    assert list(tmp_path.iterdir()) == [path]


WEIGHT = "discriminator.conv1.operation.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, header: tensors[WEIGHT].view(-1)[3:4].fill_(math.nan), "not finite"),
        (lambda tensors, header: tensors[WEIGHT].view(-1)[3:4].fill_(math.inf), "not finite"),
        (lambda tensors, header: tensors.update({WEIGHT: tensors[WEIGHT].bool()}), r"has type torch\.bool"),
        (
            lambda tensors, header: tensors["discriminator.conv2.norm.running_var"][:1].fill_(-0.5),
            "negative variances",
        ),
    ],
    ids=["NaN", "infinite", "boolean", "negative variance"],
)
def test_weights_that_no_network_has_are_refused(change, message, rewrite, architectures):
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(rewrite(change), architectures)


@pytest.mark.parametrize("image_range", [(0, 0), (1, -1)])
def test_an_image_range_without_extent_is_refused(image_range):
    with pytest.raises(ValidationError, match="must be a lower and a higher number"):
        CheckpointMetadata(architecture="dcgan32", image_range=image_range)


def test_identity_is_content_and_not_the_name(checkpoint):
    assert replace(checkpoint, name="another").sha256() == checkpoint.sha256()


def test_any_change_of_a_weight_changes_the_hash(checkpoint):
    before = {role: checkpoint.sha256(role) for role in (None, "generator", "discriminator")}
    weights = {role: dict(state) for role, state in checkpoint.weights.items()}
    changed = weights["discriminator"]["logit.operation.weight"].clone()
    changed[0, 0] += 1e-7
    weights["discriminator"]["logit.operation.weight"] = changed

    other = replace(checkpoint, weights=weights)

    assert other.sha256("discriminator") != before["discriminator"]
    assert other.sha256() != before[None]
    assert other.sha256("generator") == before["generator"]


def test_the_architecture_is_part_of_the_hash(checkpoint):
    other = replace(checkpoint, architecture=tables.dcgan32_svhn(4, 6, 1, batchnorm_eps=1e-8))

    assert other.sha256("discriminator") != checkpoint.sha256("discriminator")


def test_the_memory_layout_is_not_part_of_the_hash(checkpoint):
    state = {
        name: tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
        for name, tensor in checkpoint.weights["discriminator"].items()
    }

    other = replace(checkpoint, weights={**checkpoint.weights, "discriminator": state})

    assert other.sha256() == checkpoint.sha256()


def test_the_twin_is_another_network_of_the_same_architecture(checkpoint):
    trained = replace(checkpoint, metadata=checkpoint.metadata.model_copy(update={"z_prior": "normal"}))

    twin = trained.twin(7)

    assert twin.architecture == trained.architecture
    assert twin.metadata.z_prior == "normal"
    assert twin.name == "mine (random twin)"
    assert twin.sha256() != trained.sha256()
    assert twin.sha256() == trained.twin(7).sha256()
    assert twin.sha256() != trained.twin(8).sha256()


def test_random_weights_and_networks_leave_the_global_random_state_alone(checkpoint):
    before = torch.get_rng_state()

    checkpoint.twin(1).sample(2, seed=0)
    checkpoint.discriminator()
    checkpoint.latents(3, seed=0)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_plugins_network_is_whole_where_initialise_has_no_rule():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.LayerNorm(4)
            self.register_buffer("offset", torch.full((4,), 2.0), persistent=False)

    architecture = replace(ARCHITECTURE, make_discriminator=lambda _: Own())

    network = Checkpoint.random(architecture, seed=0).discriminator()

    assert network.scale.weight.tolist() == [1] * 4
    assert network.offset.tolist() == [2] * 4


def test_networks_are_new_in_evaluation_mode_and_independent(checkpoint):
    first, second = checkpoint.discriminator(), checkpoint.discriminator()
    with torch.no_grad():
        first.conv1.operation.weight.zero_()

    assert not any(module.training for module in first.modules())
    assert second.conv1.operation.weight.any()
    assert checkpoint.discriminator().conv1.operation.weight.any()


@pytest.mark.parametrize(("prior", "largest"), [("uniform", 1), ("normal", 5)])
def test_latents_follow_the_prior(checkpoint, prior, largest):
    trained = replace(checkpoint, metadata=checkpoint.metadata.model_copy(update={"z_prior": prior}))

    z = trained.latents(4000, seed=1)

    assert z.shape == (4000, 6)
    assert 0.99 < z.abs().max() <= largest
    assert (z.abs().max() > 1.5) == (prior == "normal")
    assert float(z.mean()) == pytest.approx(0, abs=0.02)
    assert float(z.var()) == pytest.approx({"uniform": 1 / 3, "normal": 1}[prior], rel=0.05)
    assert torch.equal(z, trained.latents(4000, seed=1))
    assert not torch.equal(z, trained.latents(4000, seed=2))


@pytest.mark.parametrize("prior", ["uniform", "normal"])
def test_a_latent_vector_depends_on_seed_and_index_alone(checkpoint, prior):
    trained = replace(checkpoint, metadata=checkpoint.metadata.model_copy(update={"z_prior": prior}))
    many = trained.latents(150, seed=4)
    for n in (0, 1, 3, 16, 17, 49):
        assert torch.equal(trained.latents(n, seed=4), many[:n])
    assert not torch.equal(trained.latents(3, seed=5), many[:3])


def test_samples_are_images_and_do_not_depend_on_batch_mates(checkpoint):
    images = checkpoint.sample(5, seed=1)

    assert images.shape == (5, 1, 32, 32)
    assert images.abs().max() <= 1
    assert not images.requires_grad
    torch.testing.assert_close(checkpoint.generator()(checkpoint.latents(5, 1)[:2]).detach(), images[:2])


def test_a_conditional_checkpoint_samples_with_labels():
    checkpoint = Checkpoint.random(tables.mlp_conditional(width=8, image_size=4, classes=3), seed=0)

    in_turn = checkpoint.sample(4, seed=0)
    assert in_turn.shape == (4, 1, 4, 4)
    assert torch.equal(in_turn, checkpoint.sample(4, seed=0, labels=torch.tensor([0, 1, 2, 0])))
    assert not torch.equal(in_turn, checkpoint.sample(4, seed=0, labels=torch.zeros(4, dtype=torch.int64)))
    assert checkpoint.metadata.image_range == (0, 1)
    with pytest.raises(ArchitectureError, match="takes labels from 0 to 2, got 3"):
        checkpoint.sample(1, seed=0, labels=torch.tensor([3]))


def test_features_of_bytes_and_of_prepared_floats_are_the_same(checkpoint):
    source = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (3, 1, 32, 32), generator=source, dtype=torch.uint8)
    prepared = pixels.float() / 127.5 - 1

    features = checkpoint.features(pixels.numpy())

    assert features.shape == (3, (4 + 8 + 16) * 16)
    assert features.dtype == torch.float32
    for same in (pixels, prepared, prepared.numpy(), prepared.double().numpy()):
        torch.testing.assert_close(checkpoint.features(same), features)


def test_a_discriminator_alone_is_a_checkpoint(checkpoint, architectures, tmp_path):
    alone = replace(checkpoint, weights={"discriminator": checkpoint.weights["discriminator"]})
    alone.save(tmp_path / "alone.safetensors")

    again = read_checkpoint(tmp_path / "alone.safetensors", architectures)

    assert again.has("discriminator")
    assert not again.has("generator")
    assert again.discriminator()(torch.zeros(2, 1, 32, 32)).shape == (2,)
    with pytest.raises(CheckpointError, match=r"^Checkpoint 'alone' holds no generator\. Use one that has it\.$"):
        again.generator()


def drop(tensors, header):
    del tensors["discriminator.conv2.operation.weight"]


def add(tensors, header):
    tensors["generator.deconv9.operation.weight"] = torch.zeros(1)


def misshape(tensors, header):
    tensors["discriminator.conv1.operation.weight"] = torch.zeros(4, 3, 5, 5)


def stray(tensors, header):
    tensors["critic.conv1.weight"] = torch.zeros(1)


def other_architecture(tensors, header):
    header["dcgan_analysis"] = header["dcgan_analysis"].replace('"dcgan32-svhn"', '"dcgan32"')


def unknown_architecture(tensors, header):
    header["dcgan_analysis"] = header["dcgan_analysis"].replace('"dcgan32-svhn"', '"dcgan32-svnh"')


def wrong_parameter(tensors, header):
    header["dcgan_analysis"] = header["dcgan_analysis"].replace('"width":4', '"breadth":4')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop, r"discriminator: tensor 'conv2\.operation\.weight' of shape \(8, 4, 5, 5\) is missing\."),
        (add, r"generator: tensor 'deconv9\.operation\.weight' belongs to no layer of this architecture\."),
        (misshape, r"'conv1\.operation\.weight' has shape \(4, 3, 5, 5\), the architecture expects \(4, 1, 5, 5\)\."),
        (stray, r"changed\.safetensors': tensor 'critic\.conv1\.weight' belongs neither to generator nor to discr"),
        (other_architecture, r"tensor '(de)?conv4\.operation\.weight' of shape \([\d, ]+\) is missing\."),
        (
            unknown_architecture,
            r"changed\.safetensors': Unknown architecture 'dcgan32-svnh'\. Did you mean 'dcgan32-svhn'",
        ),
        (wrong_parameter, r"changed\.safetensors': Architecture 'dcgan32-svhn' has no parameter 'breadth'\."),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(rewrite, architectures, change, message):
    path = rewrite(change)

    with pytest.raises(CheckpointError, match=message) as caught:
        read_checkpoint(path, architectures)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused_in_one_line(checkpoint, architectures, tmp_path, share):
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(
        CheckpointError, match=r"^Checkpoint file '.*mine\.safetensors' cannot be read as safetensors"
    ) as e:
        read_checkpoint(path, architectures)
    assert "\n" not in str(e.value)


def test_random_weights_that_are_the_trained_ones_are_refused_by_the_parameters_name(checkpoint):
    with pytest.raises(ArchitectureError, match=r"^Parameter 'project\.operation\.weight' of the generator of"):
        Checkpoint.random(ARCHITECTURE, seed=0, trained=checkpoint.weights)
    assert Checkpoint.random(ARCHITECTURE, seed=1, trained=checkpoint.weights).weights


def test_a_factory_that_copies_a_trained_network_gives_a_random_one():
    trained = ARCHITECTURE.discriminator()
    architecture = replace(ARCHITECTURE, make_discriminator=lambda _: trained)
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}

    first, other = (Checkpoint.random(architecture, seed).weights["discriminator"] for seed in (0, 1))

    assert not torch.equal(first["conv1.operation.weight"], other["conv1.operation.weight"])
    assert not torch.equal(first["conv1.operation.weight"], before["conv1.operation.weight"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in trained.state_dict().items())


@pytest.mark.parametrize("name", [entry.name for entry in list_checkpoints()])
def test_a_shipped_checkpoint_shows_itself_in_a_few_lines(name):
    checkpoint = load_checkpoint(name)
    shown = repr(checkpoint)
    assert len(shown) < 600
    assert f"Checkpoint '{name}'" in shown
    assert checkpoint.sha256()[:12] in shown
    for role in checkpoint.weights:
        learned = sum(parameter.numel() for parameter in checkpoint.network(role).parameters())
        assert f"  {role}: {learned:,} parameters" in shown


def test_a_checkpoint_that_is_in_memory_alone_shows_no_path_and_no_missing_network(checkpoint):
    alone = replace(checkpoint, weights={"discriminator": checkpoint.weights["discriminator"]})
    assert [line.split(":")[0].strip() for line in repr(alone).splitlines()] == [
        "Checkpoint 'mine'",
        "architecture",
        "discriminator",
        "images",
        "weights",
        "sha256",
    ]


def test_the_table_of_a_checkpoint_in_a_notebook_escapes_names(checkpoint):
    page = replace(checkpoint, name="<b>mine</b>")._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;mine&lt;/b&gt;" in page


def test_a_twin_is_no_network_that_a_small_seed_gives(checkpoint):
    trained_from_zero = Checkpoint.random(ARCHITECTURE, 0)
    twins = [trained_from_zero.twin(seed).sha256() for seed in (0, 1, 1 << 32, 1 << 64)]
    begun = [Checkpoint.random(ARCHITECTURE, seed).sha256() for seed in (0, 1, 1 << 32, 1 << 64)]
    assert len({*twins, *begun}) == 8


def test_seeds_above_32_bits_are_seeds_of_their_own(checkpoint):
    assert not torch.equal(checkpoint.latents(2, 5), checkpoint.latents(2, 5 + (1 << 32)))
    assert not torch.equal(checkpoint.sample(2, 5), checkpoint.sample(2, 5 + (1 << 32)))


def test_samples_of_small_seeds_are_those_that_annotations_name(checkpoint):
    seed = (1 << 32) - 1
    source = torch.Generator().manual_seed(seed)
    uniform = torch.rand((16, ARCHITECTURE.z_size), generator=source)[:2] * 2 - 1
    assert torch.equal(checkpoint.latents(2, seed), uniform)


@pytest.mark.parametrize("draw", ["latents", "sample"])
def test_a_negative_seed_is_refused(checkpoint, draw):
    with pytest.raises(ConfigError, match=r"^A seed is an integer from 0, got -1\.$"):
        getattr(checkpoint, draw)(2, -1)
    with pytest.raises(ConfigError, match=r"^A seed is an integer from 0, got -1\.$"):
        checkpoint.twin(-1)


def test_a_small_file_with_large_tables_takes_no_memory(architectures, tmp_path):
    resource = pytest.importorskip("resource")
    rows = [{"name": "hidden", "kind": "linear", "out": 130_000}, {"name": "logit", "kind": "linear", "out": 1}]
    metadata = CheckpointMetadata(architecture="layers", parameters={"discriminator": rows, "image_shape": [1, 32, 32]})
    header = {"dcgan_analysis": metadata.model_dump_json()}
    save_file({"discriminator.logit.operation.weight": torch.zeros(1)}, tmp_path / "large.safetensors", metadata=header)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CheckpointError, match=r"'hidden.operation.weight' of shape \(130000, 1024\) is missing"):
        read_checkpoint(tmp_path / "large.safetensors", architectures)

    # In KB; the matrix would take half a million.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_the_hash_of_a_checkpoint_is_the_same_in_every_version():
    assert load_checkpoint("digits-dcgan32").sha256().startswith("adb8f8c82af83c32")

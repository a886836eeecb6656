"""``list`` and ``plugins``."""

from __future__ import annotations

import pytest

KINDS = ["analyses", "datasets", "architectures", "checkpoints", "importers", "presets"]


def test_everything_is_listed_by_default(cli):
    listing = cli("list", "--json").assert_success().json()
    assert list(listing) == KINDS
    assert listing["analyses"] == [{"name": "toy", "summary": "Brightness of images", "owner": "plugin 'toy-plugin'"}]
    assert {"digits", "toy-images"} <= {row["name"] for row in listing["datasets"]}
    assert "dcgan32" in {row["name"] for row in listing["architectures"]}


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_listed_alone(kind, cli):
    assert list(cli("list", kind, "--json").assert_success().json()) == [kind]
    assert cli("list", kind).assert_success().out.startswith(kind.capitalize())


def test_a_kind_without_members_says_none(cli, host):
    host.analyses.remove_owner("plugin 'toy-plugin'")
    assert cli("list", "analyses").assert_success().out.split() == ["Analyses", "none"]


def test_of_datasets_it_is_said_whether_they_can_be_used_now(cli, tmp_path):
    for name in ("svhn.zip", "pets.zip"):
        (tmp_path / name).touch()
    rows = cli("list", "datasets", "--data-root", tmp_path, "--json").assert_success().json()["datasets"]
    states = {row["name"]: row["state"] for row in rows}
    expected = {
        "digits": "embedded",
        "cifar10-mini": "embedded",
        "svhn": "here",
        "pets": "here",
        "cifar100": "must be downloaded",
        "faces64": "not here, needs files",
        "toy-images": "",
    }
    assert {name: states[name] for name in expected} == expected
    out = cli("list", "datasets", "--data-root", tmp_path).assert_success().out
    assert "must be downloaded: 60,000 photos of 100 classes" in out


def test_torchvisions_own_files_are_here_as_well(cli, tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").touch()
    rows = cli("list", "datasets", "mnist", "--data-root", tmp_path, "--json").assert_success().json()["datasets"]
    assert {row["name"]: row["state"] for row in rows} == {
        "mnist": "here",
        "fashion-mnist": "must be downloaded",
        "kmnist": "must be downloaded",
    }


def test_a_name_filters_one_kind_or_all(cli):
    listing = cli("list", "svhn", "--json").assert_success().json()
    assert {kind: [row["name"] for row in rows] for kind, rows in listing.items() if rows} == {
        "datasets": ["svhn"],
        "architectures": ["dcgan32-svhn"],
        "checkpoints": ["svhn-dcgan32"],
        "presets": ["svhn"],
    }
    out = cli("list", "presets", "svhn").assert_success().out
    assert [line for line in out.splitlines() if not line.startswith(" ")] == ["Presets", ""]


def test_of_shipped_checkpoints_it_is_said_what_was_measured(cli):
    rows = cli("list", "checkpoints", "--json").assert_success().json()["checkpoints"]
    measured = {row["name"]: row["measured"] for row in rows}
    assert measured["cifar10-dcgan32"] == "CIFAR-10 77.8 % [75.1, 80.3], random twin 65.6 % (svm-cifar)"
    assert measured["digits-dcgan32"].startswith("digits, rank correlation of a step and the slant 0.9997 [")
    assert all(measured.values())
    assert measured["mnist-conditional"].startswith("MNIST, error of the nearest of 50,000 samples 4.41 %")


def test_a_checkpoint_that_was_started_from_another_is_listed_with_the_epochs_of_both(cli):
    rows = cli("list", "checkpoints", "--json").assert_success().json()["checkpoints"]
    summaries = {row["name"]: row["summary"] for row in rows}
    # How long the first nine epochs took is not in the file.
    assert summaries["cifar10-dcgan32"] == (
        "dcgan32, width 128: trained on cifar10, 11 epochs, 0.55 million images seen, at least 1.2 hours"
    )
    assert summaries["mnist-conditional"].endswith("9 epochs, 0.45 million images seen, 1.2 hours")
    assert summaries["digits-dcgan32"].endswith("90 epochs, 0.12 million images seen")


def test_checkpoints_are_found_by_folder_with_what_they_say_of_themselves(cli, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("DCGAN_ANALYSIS_CHECKPOINTS", str(tmp_path / "mine"))
    tiny_checkpoint.save(tmp_path / "mine" / "aa-tiny" / "model.safetensors")
    (tmp_path / "mine" / "aa-broken").mkdir()
    (tmp_path / "mine" / "aa-broken" / "model.safetensors").write_bytes(b"no weights")
    rows = cli("list", "checkpoints", "--json").assert_success().json()["checkpoints"]
    found = {row["name"]: row["summary"] for row in rows}
    assert found["aa-tiny"] == "dcgan32, width 8: not trained by this program"
    assert found["aa-broken"].startswith("Checkpoint file ")
    assert "cannot be read" in found["aa-broken"]


def test_only_what_plugins_bring_is_shown_with_its_owner(cli):
    lines = cli("list").assert_success().out.splitlines()
    toy = next(line for line in lines if line.startswith("  toy "))
    assert toy.endswith("Brightness of images [plugin 'toy-plugin']")
    assert next(line for line in lines if line.startswith("  dcgan32-svhn ")).endswith("SVHN network")
    assert not [line for line in lines if line != line.rstrip()]


def test_summaries_in_brackets_are_shown_as_they_stand(cli, host, make_toy):
    host.analyses.add("odd", make_toy(name="odd", summary="Layers [conv1] and [/bold]"), owner="test")
    assert "Layers [conv1] and [/bold]" in cli("list", "analyses").assert_success().out


def test_plugins_are_shown_with_what_they_registered_and_why_they_failed(cli, host):
    from dcgan_analysis.host.host import PluginInfo

    def source():
        msg = "bad [mark"
        raise ImportError(msg)

    host.load(PluginInfo(name="acme", distribution="acme-gan", version="2.0"), source)
    host.disable(PluginInfo(name="zeta", distribution="zeta-gan", version="1.0"))
    documents = {each["name"]: each for each in cli("plugins", "--json").assert_success().json()}
    assert list(documents) == ["core", "toy-plugin", "acme", "zeta"]
    assert documents["toy-plugin"]["registered"] == {"datasets": ["toy-images"], "analyses": ["toy"]}
    assert documents["acme"]["state"] == "failed"
    assert "ImportError: bad [mark" in documents["acme"]["error"]
    assert documents["zeta"]["state"] == "disabled"

    lines = cli("plugins").assert_success().out.splitlines()
    assert lines[0].startswith("dcgan-analysis ")
    assert "  toy-plugin  datasets: toy-images; analyses: toy" in lines
    assert "acme-gan 2.0" in lines
    assert "ImportError: bad [mark" in next(line for line in lines if line.startswith("  acme "))
    assert "  zeta        disabled" in lines


def test_each_built_in_plugin_has_one_line_of_a_narrow_terminal(run_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    plugins = run_cli("plugins", "--json").assert_success().json()
    lines = run_cli("plugins").assert_success().out.splitlines()
    names = [plugin["name"] for plugin in plugins if plugin["distribution"] == "dcgan-analysis"]
    assert [line.split()[0] for line in lines[1 : len(names) + 1]] == names
    assert max(map(len, lines[: len(names) + 1])) <= 80
    assert next(line for line in lines if "svm-cifar" in line).split() == ["svm-cifar", "analysis"]


def test_of_a_training_only_what_differs_from_the_defaults_is_shown(run_cli):
    out = " ".join(run_cli("show", "cifar10-dcgan32-w64").assert_success().out.split())
    assert "trained 9 epochs, 0.45 million images seen, at least 1.3 hours" in out
    assert "the last 3 epochs, 1,170 steps; preset cifar10, start_from cifar10-dcgan32, epochs 5.0" in out
    assert "beta1" not in out
    assert "started_from (name cifar10-dcgan32, sha256" in out

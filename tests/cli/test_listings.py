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


def test_a_checkpoint_that_was_started_from_another_is_listed_with_the_epochs_of_both(cli):
    rows = cli("list", "checkpoints", "--json").assert_success().json()["checkpoints"]
    summary = next(row["summary"] for row in rows if row["name"] == "cifar10-dcgan32")
    assert summary == "dcgan32, width 128: trained on cifar10, 11 epochs, 0.55 million images seen"


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

    out = cli("plugins").assert_success().out
    assert "analyses: toy" in out
    assert "bad [mark" in out
    assert "acme-gan" in out

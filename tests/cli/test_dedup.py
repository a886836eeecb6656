from __future__ import annotations

import json


def test_the_list_is_written_and_says_how_good_it_is(cli, tmp_path):
    words = ("dedup", "toy-images", "--out", "d.json", "--steps", "5", "--limit", "20", "--bits", "0")
    outcome = cli(*words).assert_success()
    document = json.loads((tmp_path / "d.json").read_text())
    assert (document["format"], document["version"], document["images"]) == ("dcgan-analysis duplicates", 1, 20)
    assert document["leave_out"] == [one for group in document["groups"] for one in group[1:]]
    assert set(document["measured"]) == {
        "recall, re-encoded",
        "recall, brightened",
        "recall, shifted",
        "recall, cropped",
        "precision, all copies",
        "false positives, mirrored",
    }
    assert "of 20 images are near-duplicates" in outcome.out
    assert cli(*words, "--json").json() == document


def test_an_unknown_split_is_refused_before_anything_is_written(cli, tmp_path):
    outcome = cli("dedup", "toy-images", "--out", "d.json", "--split", "extra")
    assert outcome.exit_code == 1
    assert "has no split 'extra'" in outcome.err
    assert not (tmp_path / "d.json").exists()


def test_collisions_with_another_split_are_listed_and_shown(cli, tmp_path):
    words = ("dedup", "toy-images", "--out", "d.json", "--steps", "5", "--bits", "60", "--limit", "20")
    outcome = cli(*words, "--against", "test").assert_success()
    against = json.loads((tmp_path / "d.json").read_text())["against"]
    assert (against["split"], against["images"]) == ("test", 20)
    assert set(against["collisions"][0]) == {"id", "of", "bits"}
    assert f"{len(against['collisions'])} of 20 images of test are near-duplicates of one in train." in outcome.out
    assert outcome.out.endswith("d.json\nd.png\nd-against.png\n")
    assert (tmp_path / "d.png").stat().st_size > 1000


def test_a_wrong_word_is_refused_as_usage(cli, tmp_path):
    outcome = cli("dedup", "toy-images", "--out", "d.json", "--against", "train")
    assert (outcome.exit_code, "is the split that is searched" in outcome.err) == (2, True)
    outcome = cli("dedup", "toy-images", "--out", "d.png")
    assert (outcome.exit_code, "the gallery beside it ends in .png" in outcome.err) == (2, True)
    assert list(tmp_path.glob("d*")) == []

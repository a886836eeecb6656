from __future__ import annotations

import json


def test_the_list_is_written_and_says_how_good_it_is(cli, tmp_path):
    words = ("deduplicate", "toy-images", "--out", "d.json", "--steps", "5", "--limit", "20", "--bits", "0")
    outcome = cli(*words).assert_success()
    document = json.loads((tmp_path / "d.json").read_text())
    assert (document["format"], document["version"], document["images"]) == ("dcgan-analysis duplicates", 1, 20)
    assert document["leave_out"] == [one for group in document["groups"] for one in group[1:]]
    assert set(document["measured"]) == {
        "recall, re-encoded",
        "recall, brightened",
        "recall, cropped",
        "false positives, mirrored",
    }
    assert "of 20 images are near-duplicates" in outcome.out
    assert cli(*words, "--json").json() == document


def test_an_unknown_split_is_refused_before_anything_is_written(cli, tmp_path):
    outcome = cli("deduplicate", "toy-images", "--out", "d.json", "--split", "extra")
    assert outcome.exit_code == 1
    assert "has no split 'extra'" in outcome.err
    assert not (tmp_path / "d.json").exists()

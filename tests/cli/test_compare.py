from __future__ import annotations


def test_compare_says_why_runs_cannot_be_paired(cli, tmp_path):
    for seed in ("0", "1"):
        cli("run", "toy", "--seed", seed, "--out", tmp_path / seed).assert_success()
    outcome = cli("compare", tmp_path / "0", tmp_path / "1").assert_success()
    assert outcome.out.splitlines()[-1] == ("Not paired: 0 and 1: the runs saved no predictions of the same kind.")
    document = cli("compare", tmp_path / "0", tmp_path / "1", "--json").assert_success().json()
    assert document["paired"]["rows"] == []

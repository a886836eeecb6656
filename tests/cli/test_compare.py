from __future__ import annotations


def test_compare_says_why_runs_cannot_be_paired(cli, tmp_path):
    for seed in ("0", "1"):
        cli("run", "toy", "--seed", seed, "--out", tmp_path / seed).assert_success()
    outcome = cli("compare", tmp_path / "0", tmp_path / "1").assert_success()
    assert outcome.out.splitlines()[-1] == ("Not paired: 0 and 1: the runs saved no predictions of the same kind.")
    document = cli("compare", tmp_path / "0", tmp_path / "1", "--json").assert_success().json()
    assert document["paired"]["rows"] == []


def test_compare_writes_one_page_with_both_runs(cli, tmp_path):
    for seed in ("0", "1"):
        cli("run", "toy", "--seed", seed, "--out", tmp_path / seed).assert_success()
    page = tmp_path / "both.html"
    outcome = cli("compare", tmp_path / "0", tmp_path / "1", "--html", page).assert_success()
    assert outcome.out.splitlines()[-1] == str(page)
    text = page.read_text(encoding="utf-8")
    assert "<h1>0 and 1</h1>" in text
    assert "the runs saved no predictions of the same kind" in text
    assert '<th scope="row" class="">seed</th>' in text
    outcome = cli("compare", tmp_path / "0", tmp_path / "1", "--html", tmp_path)
    assert outcome.exit_code == 2
    assert "is a directory" in outcome.err

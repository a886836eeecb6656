from __future__ import annotations

import dcgan_analysis as da


def test_samples_are_written_and_named(run_cli, tmp_path):
    outcome = run_cli(
        "sample", "--checkpoint", "digits-conditional", "--n", "11", "--seed", "2", "--out", "s.zip", "--json"
    )

    outcome.assert_success()
    document = outcome.json()
    assert (document["n"], document["seed"]) == (11, 2)
    assert da.load_dataset(tmp_path / "s.zip").split("train").labels.tolist() == [*range(10), 0]


def test_the_next_step_is_said_where_something_is_missing_or_wrong(run_cli):
    assert "Known ones: dcgan-analyze list checkpoints" in run_cli("sample", "--out", "s.png").err
    outcome = run_cli("sample", "--checkpoint", "digits-dcgan32", "--label", "3", "--out", "s.png")
    assert outcome.exit_code == 1
    assert "label=3: architecture 'dcgan32-svhn' is not conditional" in outcome.err

"""Several analyses in one command: checked together, sharing what they have in common, none stopping another."""

from __future__ import annotations

import json

import pytest

from dcgan_analysis.api import Demo, Metric, Needs
from dcgan_analysis.errors import AnalysisError, ConfigError, UnknownNameError
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.runs.batch import run_several
from dcgan_analysis.runs.request import RunRequest, demo_requests, settings_by_analysis


@pytest.fixture
def out(tmp_path):
    return tmp_path / "several"


@pytest.fixture
def add(host, make_toy):
    """Register a toy analysis under a name; keyword arguments replace its members."""

    def add(name, **members):
        host.analyses.add(name, make_toy(name=name, **members), owner="test")
        return name

    return add


def failing(error):
    def run(context, config):
        context.save_arrays("half", done=context.split("test").labels)
        raise error

    return run


def states(batch):
    return {outcome.name: outcome.state for outcome in batch.outcomes}


def test_each_analysis_has_a_run_folder_and_one_page_links_them(host, out, add):
    batch = run_several(["toy", add("other")], out=out, host=host, seed=4, limit=9, title="Two <toys>")
    assert sorted(path.name for path in out.iterdir()) == ["index.html", "index.json", "other", "toy"]
    assert {name: (result.seed, result.limit) for name, result in batch.results.items()} == {
        "toy": (4, 9),
        "other": (4, 9),
    }
    page = (out / "index.html").read_text(encoding="utf-8")
    assert 'href="toy/report.html"' in page
    assert 'href="other/report.html"' in page
    assert "Two &lt;toys&gt;" in page
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    assert [(run["analysis"], run["state"], run["folder"]) for run in index["runs"]] == [
        ("toy", "done", "toy"),
        ("other", "done", "other"),
    ]


@pytest.mark.parametrize("error", [AnalysisError("too few [images]"), ValueError("a bug"), SystemExit(3)])
def test_one_that_fails_stops_no_other_and_what_the_others_found_is_kept(error, host, out, add):
    batch = run_several([add("first"), add("bad", run=failing(error)), add("last")], out=out, host=host)
    assert states(batch) == {"first": "done", "bad": "failed", "last": "done"}
    assert [outcome.cause for outcome in batch.failed] == [error]
    assert not (out / "bad").exists()
    assert str(error) in (out / "index.html").read_text(encoding="utf-8")
    # What the user can mend is one line; a bug's traceback is kept for whoever mends it.
    assert (out / "bad-traceback.txt").exists() == (not isinstance(error, AnalysisError))


def test_an_interruption_leaves_a_page_with_what_had_finished(host, out, add):
    with pytest.raises(KeyboardInterrupt):
        run_several([add("first"), add("bad", run=failing(KeyboardInterrupt())), add("last")], out=out, host=host)
    index = json.loads((out / "index.json").read_text(encoding="utf-8"))
    assert {run["analysis"]: run["state"] for run in index["runs"]} == {
        "first": "done",
        "bad": "not run",
        "last": "not run",
    }
    assert sorted(path.name for path in out.iterdir()) == ["first", "index.html", "index.json"]


def never(context, config):
    pytest.fail("an analysis ran")


def test_everything_that_is_missing_is_said_before_any_starts(host, out, add):
    names = [
        add("sound", run=never),
        add("networks", run=never, needs=Needs(generator=True, dataset="toy-images", splits=("validation", "extra"))),
        add("nowhere", run=never, needs=Needs(dataset="absent")),
        add("lost", run=never, needs=Needs(dataset="absent")),
    ]
    with pytest.raises(AnalysisError) as caught:
        run_several(names, out=out, host=host)
    first, *lines = str(caught.value).splitlines()
    assert first == "3 of 4 analyses cannot run; none was started."
    assert "Analysis 'networks' needs a checkpoint." in lines[0]
    assert "needs the splits validation, extra; dataset 'synthetic' has: train, test." in lines[0]
    assert lines[1].startswith("  nowhere, lost: Unknown dataset 'absent'.")
    assert not out.exists()


def test_where_the_others_shall_go_on_one_that_cannot_start_counts_as_failed(host, out, add):
    batch = run_several(["toy", add("lost", needs=Needs(dataset="absent"))], out=out, host=host, all_or_none=False)
    assert states(batch) == {"toy": "done", "lost": "failed"}


def reading(grid):
    def run(context, config):
        train, test = context.split("train"), context.split("test")
        extraction = context.extraction(FeatureSpec(grid=grid, precision="float32"), train)
        extraction.store("test", test)
        metrics = {"forward": Metric(value=extraction.forward_images, unit="number")}
        return context.result(title="T", headline="forward", metrics=metrics)

    return run


def test_analyses_that_read_the_same_features_share_one_extraction(host, out, add, tiny_checkpoint, tmp_path):
    needs = Needs(dataset="toy-images", splits=("train", "test"), grid=2)
    names = [add("first", needs=needs, run=reading(2)), add("second", needs=needs, run=reading(2))]
    names.append(add("finer", needs=needs, run=reading(4)))
    batch = run_several(names, checkpoint=tiny_checkpoint, out=out, host=host, cache_dir=tmp_path / "cache")
    forward = {name: result.metrics["forward"].value for name, result in batch.results.items()}
    assert forward["first"] > 30
    assert forward["second"] == 0
    assert forward["finer"] == forward["first"]


def test_a_dataset_and_a_checkpoint_are_loaded_once(host, out, add, tiny_checkpoint, tmp_path, monkeypatch):
    from dcgan_analysis.runs import prepare as preparation

    tiny_checkpoint.save(tmp_path / "mine.safetensors")
    loaded = []
    for name in ("load_checkpoint", "load_dataset"):
        original = getattr(preparation, name)

        def counted(what, *args, original=original, **named):
            loaded.append(what)
            return original(what, *args, **named)

        monkeypatch.setattr(preparation, name, counted)
    run_several(["toy", add("other")], checkpoint=tmp_path / "mine.safetensors", out=out, host=host)
    assert loaded == [tmp_path / "mine.safetensors", "toy-images"]


def test_a_request_has_data_and_settings_of_its_own(host, out, add):
    requests = [RunRequest("toy", {"times": 5}, limit=6), RunRequest(add("other"))]
    batch = run_several(requests, settings={"times": 2, "other.label": "mine"}, limit=12, out=out, host=host).results
    assert (batch["toy"].config["times"], batch["toy"].limit) == (5, 6)
    assert (batch["other"].config["times"], batch["other"].config["label"], batch["other"].limit) == (2, "mine", 12)


def test_a_request_with_a_folder_of_its_own_is_refused_among_several(host, out, tmp_path):
    with pytest.raises(AnalysisError, match="'toy' is one of several and has an output folder of its own"):
        run_several([RunRequest("toy", out=tmp_path / "own")], out=out, host=host)


def test_paths_may_be_given_as_text(host, tmp_path):
    folder = tmp_path / "several"
    batch = run_several(["toy"], out=str(folder), data_root=str(tmp_path), cache_dir=str(tmp_path), host=host)
    assert batch.folder == folder
    assert batch.results["toy"].folder == folder / "toy"


def test_a_setting_that_no_analysis_has_is_refused(host, add):
    both = [host.analysis("toy"), host.analysis(add("other"))]
    with pytest.raises(ConfigError, match=r"Unknown setting 'tines'\. Did you mean 'times'\?"):
        settings_by_analysis(both, {"tines": 3})
    tables = settings_by_analysis(both, {"extra": {"a": 1}, "other": {"times": 2}})
    assert tables == {"toy": {"extra": {"a": 1}}, "other": {"extra": {"a": 1}, "times": 2}}


def test_an_unknown_analysis_is_refused_before_any_starts(host, out, add):
    with pytest.raises(UnknownNameError, match="Unknown analysis 'toyy'"):
        run_several([add("sound", run=never), "toyy"], out=out, host=host)
    assert not out.exists()


def test_the_same_analysis_twice_is_refused(host, out):
    with pytest.raises(AnalysisError, match="Analysis 'toy' is named twice"):
        run_several(["toy", "toy"], out=out, host=host)


def test_a_folder_of_something_else_is_never_touched(host, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("precious", encoding="utf-8")
    for force in (False, True):
        with pytest.raises(AnalysisError, match=r"'.*thesis' is not empty and holds no index\.json"):
            run_several(["toy"], out=tmp_path / "thesis", host=host, force=force)
    assert (tmp_path / "thesis" / "index.html").read_text(encoding="utf-8") == "precious"


def test_earlier_runs_are_replaced_with_force_only(host, out):
    run_several(["toy"], out=out, host=host, seed=1)
    with pytest.raises(AnalysisError, match=r"'.*toy' exists\. Choose another folder \(out\), or replace it \(force\)"):
        run_several(["toy"], out=out, host=host, seed=2)
    assert run_several(["toy"], out=out, host=host, seed=2, force=True).results["toy"].seed == 2


class TestCommandLine:
    def test_two_names_run_both(self, cli, add, out):
        add("other")
        outcome = cli("run", "toy", "other", "--out", out, "--set", "times=2", "--limit", "6").assert_success()
        assert outcome.out.splitlines()[-1] == str(out / "index.html")
        assert "2/2 other: brightness" in outcome.err

    def test_json_holds_every_result(self, cli, add, out):
        add("bad", run=failing(ValueError("a bug")))
        outcome = cli("run", "toy", "bad", "--out", out, "--json")
        assert outcome.exit_code == 1
        runs = outcome.json()["runs"]
        assert [(run["analysis"], run["state"], run["result"] is None) for run in runs] == [
            ("toy", "done", False),
            ("bad", "failed", True),
        ]
        assert "Error: 1 of 2 analyses failed; the results of the others are kept." in outcome.err

    def test_what_is_missing_is_said_and_nothing_is_left(self, cli, add, out):
        add("lost", needs=Needs(dataset="absent"))
        outcome = cli("run", "toy", "lost", "--out", out)
        assert (outcome.exit_code, outcome.out) == (1, "")
        assert "Error: 1 of 2 analyses cannot run; none was started." in outcome.err
        assert not out.exists()

    def test_the_demonstration_of_all_runs_what_has_one_and_outlives_a_failure(self, cli, add, out):
        add("shown", demo=Demo(settings={"times": 7}, limit=5))
        add("bad", demo=Demo(), run=failing(ValueError("a bug")))
        outcome = cli("demo", "--all", "--out", out)
        assert outcome.exit_code == 1
        index = json.loads((out / "index.json").read_text(encoding="utf-8"))
        assert {run["analysis"]: run["state"] for run in index["runs"]} == {"bad": "failed", "shown": "done"}


def test_the_built_in_demonstrations_need_no_data_and_have_valid_settings():
    from dcgan_analysis.host.host import load_plugins

    host = load_plugins("")
    requests = demo_requests(host)
    assert {"svm-cifar", "svm-svhn", "random-features", "pixels"} <= {request.name for request in requests}
    for request in requests:
        host.analysis(request.name).config_type.build(request.settings)
        needs = host.analysis(request.name).needs
        assert (request.dataset or needs.dataset) in ("digits", None), request.name

"""The runner, with toy analyses."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path

import pytest

from dcgan_analysis.api import Needs, Result
from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.api.result import RESULT_FILE
from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, ConfigError, DatasetError, UnknownNameError
from dcgan_analysis.runs import run as runner
from dcgan_analysis.runs.batch import run_several
from dcgan_analysis.runs.request import RunRequest
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import make_dataset


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs" / "one"


@pytest.fixture
def never(make_toy):
    """Make an analysis that must not get as far as its run."""

    def run(context, config):
        pytest.fail("the analysis ran")

    return lambda **needs: make_toy(run=run, needs=Needs(**needs))


def left_in(folder):
    """Return the names of everything in a folder, hidden or not; none where there is no folder."""
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_run_leaves_a_folder_that_tells_everything(host, out):
    result = run("toy", out=out, host=host, seed=3, limit=9)
    assert result.folder == out
    assert left_in(out) == ["report.html", RESULT_FILE]
    assert left_in(out.parent) == ["one"]
    assert Result.load(out) == result
    assert (result.plugin, result.seed, result.limit, result.smoke) == ("plugin 'toy-plugin'", 3, 9, True)
    assert {name: record.n for name, record in result.dataset.splits.items()} == {"test": 9}


def test_the_runner_says_which_analysis_ran_with_which_settings(host, out, make_toy):
    toy = make_toy()
    result = run(toy, out=out, host=host, settings={"times": 3})
    assert (result.analysis, result.question, result.reference) == (toy.name, toy.question, toy.reference)
    assert result.config == toy.config_type(times=3).model_dump(mode="json")


def test_a_result_that_names_another_analysis_is_put_right(host, out, make_toy):
    other = {"analysis": "other", "config": {"times": 7}}
    analysis = make_toy(run=lambda context, config: make_toy().run(context, config).model_copy(update=other))
    result = run(analysis, out=out, host=host)
    assert (result.analysis, result.config["times"]) == ("toy", 1)


def test_the_same_seed_gives_the_same_and_another_seed_another_result(host, tmp_path):
    draws = [
        run("toy", out=tmp_path / str(i), host=host, seed=seed).metrics["draw"].value
        for i, seed in enumerate((0, 0, 1))
    ]
    assert draws[0] == draws[1] != draws[2]


def test_runs_without_a_folder_given_do_not_meet(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = {run("toy", host=host).folder for _ in range(2)}
    assert len(folders) == 2
    assert all(folder.parent == Path("runs") and folder.name.startswith("toy-") for folder in folders)


def test_paths_may_be_given_as_text(host, tmp_path):
    out = tmp_path / "one"
    result = run("toy", out=str(out), data_root=str(tmp_path), cache_dir=str(tmp_path / "cache"), host=host)
    assert result.folder == out
    assert Result.load(out) == result


def test_the_facade_takes_every_part_of_a_request():
    parts = inspect.signature(RunRequest).parameters
    assert set(inspect.signature(run).parameters) == {*parts, "host", "progress"}
    several = inspect.signature(run_several).parameters
    assert set(several) == {*parts, "analyses", "host", "progress", "done", "all_or_none", "title"} - {"analysis"}
    defaults = {name: part.default for name, part in parts.items() if name not in ("analysis", "settings")}
    for facade in (run, run_several):
        assert {name: inspect.signature(facade).parameters[name].default for name in defaults} == defaults


def test_an_analysis_may_be_given_as_an_object(host, out, make_toy):
    result = run(make_toy(name="mine"), out=out, host=host)
    assert (result.analysis, result.plugin) == ("mine", "given as an object")


def test_checkpoint_and_dataset_may_be_given_as_objects(host, out, make_toy, tiny_checkpoint):
    analysis = make_toy(needs=Needs(checkpoint="absent", dataset="absent", generator=True, discriminator=True))
    result = run(analysis, out=out, host=host, checkpoint=tiny_checkpoint, dataset=make_dataset(test=6))
    assert (result.checkpoint.name, result.dataset.name, result.metrics["brightness"].n) == ("tiny", "synthetic", 6)


def interrupting(error):
    def run(context, config):
        context.save_arrays("half", done=context.split("test").labels)
        raise error

    return run


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no luck"), AnalysisError("too few images")])
def test_a_run_that_ends_early_leaves_nothing(error, host, out, make_toy):
    with pytest.raises(type(error)):
        run(make_toy(run=interrupting(error)), out=out, host=host)
    assert left_in(out.parent) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no luck")])
def test_a_forced_run_that_ends_early_leaves_the_old_one(error, host, out, make_toy):
    run("toy", out=out, host=host, seed=7)
    with pytest.raises(type(error)):
        run(make_toy(run=interrupting(error)), out=out, host=host, force=True)
    assert left_in(out.parent) == ["one"]
    assert Result.load(out).seed == 7


def test_a_run_whose_report_fails_leaves_nothing(host, out, monkeypatch):
    def fail(result, folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dcgan_analysis.report.write_report", fail)
    with pytest.raises(OSError, match="No space left"):
        run("toy", out=out, host=host)
    assert left_in(out.parent) == []


def test_a_run_without_result_is_an_error_of_its_own(host, out, make_toy):
    with pytest.raises(AnalysisError, match=r"Analysis 'toy' returned None; its run must return what context\.result"):
        run(make_toy(run=lambda context, config: None), out=out, host=host)
    assert left_in(out.parent) == []


def test_an_existing_run_is_never_overwritten_without_force(host, out, never):
    run("toy", out=out, host=host, seed=7)
    with pytest.raises(
        AnalysisError, match=r"Output '.*one' exists\. Choose another folder \(out\), or replace it \(force\)"
    ):
        run(never(), out=out, host=host)
    assert Result.load(out).seed == 7


def test_two_runs_into_one_folder_are_refused_at_the_start_not_after_all_the_work(host, out, make_toy, never):
    def meanwhile(context, config):
        with pytest.raises(AnalysisError, match=rf"^Output '{out}' is being written by process \d+ on "):
            run(never(), out=out, host=host)
        return make_toy().run(context, config)

    run(make_toy(run=meanwhile), out=out, host=host)
    with pytest.raises(AnalysisError, match="exists"):
        run(never(), out=out, host=host)
    assert left_in(out.parent) == ["one"]


def test_force_replaces_a_run_and_everything_in_it(host, out):
    run("toy", out=out, host=host, seed=7)
    (out / "notes.txt").write_text("old", encoding="utf-8")
    run("toy", out=out, host=host, seed=8, force=True)
    assert Result.load(out).seed == 8
    assert left_in(out) == ["report.html", RESULT_FILE]
    assert left_in(out.parent) == ["one"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_force_never_replaces_anything_but_a_run(kind, host, tmp_path, never):
    out = tmp_path / "thesis"
    inside = out / "chapter1.txt" if kind == "folder" else out
    inside.parent.mkdir(exist_ok=True)
    inside.write_text("precious", encoding="utf-8")
    with pytest.raises(AnalysisError, match=r"'.*thesis' exists and is not a run folder \(it holds no result\.json\)"):
        run(never(), out=out, host=host, force=True)
    assert inside.read_text(encoding="utf-8") == "precious"


def unlabelled():
    split = make_dataset().split("test")
    bare = DatasetSplit(split.images, None, split.ids, source="photos.zip")
    return Dataset.from_splits("photos", {"train": bare, "test": bare})


def partly_labelled():
    whole = make_dataset()
    bare = DatasetSplit(whole.split("test").images, None, whole.split("test").ids)
    return Dataset.from_splits("half", {"train": whole.split("train"), "test": bare})


def one_class():
    split = make_dataset().split("test")
    cats = DatasetSplit(split.images, split.labels * 0, split.ids, classes=["cat"])
    return Dataset.from_splits("cats", {"train": cats, "test": cats})


@pytest.mark.parametrize(
    ("needs", "dataset", "message"),
    [
        (
            {"splits": ("train", "validation")},
            make_dataset,
            r"needs a split 'validation'; dataset .* has: train, test\.",
        ),
        ({"labels": True}, unlabelled, r"'toy' needs labels of at least two classes; dataset 'photos' has no labels\."),
        ({"labels": True}, one_class, r"labels of at least two classes; dataset 'cats' has one class only, cat\."),
        (
            {"labels": True, "splits": ("test",)},
            partly_labelled,
            r"needs labels; split 'test' of dataset 'half' has none",
        ),
    ],
    ids=["split", "no labels", "one class", "labels of one split"],
)
def test_a_dataset_that_does_not_do_is_refused_before_the_run(needs, dataset, message, host, out, never):
    with pytest.raises(AnalysisError, match=message):
        run(never(**needs), dataset=dataset(), out=out, host=host)
    assert left_in(out.parent) == []


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_a_checkpoint_without_the_network_needed_is_refused_before_the_run(role, host, out, never, tiny_checkpoint):
    other = {name: state for name, state in tiny_checkpoint.weights.items() if name != role}
    part = Checkpoint("part", tiny_checkpoint.architecture, other, tiny_checkpoint.metadata)
    with pytest.raises(AnalysisError, match=rf"'toy' needs a {role}; checkpoint 'part' holds none"):
        run(never(**{role: True}), checkpoint=part, out=out, host=host)


def test_an_analysis_that_needs_a_checkpoint_asks_for_it(host, out, never):
    with pytest.raises(
        AnalysisError,
        match=r"'toy' needs a checkpoint\. Give one; known ones: dcgan-analyze list",
    ):
        run(never(generator=True), out=out, host=host)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"analysis": "toyy"}, UnknownNameError, r"Unknown analysis 'toyy'\. Did you mean 'toy'\?"),
        ({"dataset": "toy-image"}, UnknownNameError, r"Unknown dataset 'toy-image'\. Did you mean 'toy-images'\?"),
        ({"dataset": Path("absent.zip")}, DatasetError, r"Dataset 'absent\.zip' does not exist\."),
        ({"checkpoint": "nowhere"}, UnknownNameError, "Unknown checkpoint 'nowhere'"),
        ({"settings": {"time": 3}}, ConfigError, r"Unknown setting 'time'\. Did you mean 'times'\?"),
        ({"settings": {"times": 0}}, ConfigError, "times: must be greater than or equal to 1, got 0"),
        ({"seed": -1}, ConfigError, "seed must be >= 0 and limit >= 1, got seed -1 and limit None"),
        ({"limit": 0}, ConfigError, "got seed 0 and limit 0"),
    ],
)
def test_wrong_input_is_refused_before_the_run(arguments, error, message, host, out):
    with pytest.raises(error, match=message) as caught:
        run(**({"analysis": "toy", "out": out, "host": host} | arguments))
    assert "\n" not in str(caught.value)
    assert left_in(out.parent) == []


class Observer:
    def __init__(self, fails=False):
        self.fails = fails
        self.seen = []

    @hookimpl
    def dcgan_before_run(self, analysis, config, context):
        self.seen.append(("before", analysis.name, config.times, context.output_dir.is_dir()))
        if self.fails:
            msg = "lost connection"
            raise RuntimeError(msg)

    @hookimpl
    def dcgan_after_run(self, analysis, context, result):
        assert context.output_dir == result.folder
        self.seen.append(("after", analysis.name, result.headline, (result.folder / RESULT_FILE).is_file()))
        if self.fails:
            raise SystemExit(1)


def test_observers_are_told_before_and_after(host, out):
    observer = Observer()
    host.register(observer, "observer")
    result = run("toy", settings={"times": 2}, out=out, host=host)
    assert observer.seen == [("before", "toy", 2, True), ("after", "toy", "brightness", True)]
    assert result.warnings == []


def test_an_observer_that_fails_stops_neither_the_run_nor_the_others(host, out):
    host.register(Observer(fails=True), "broken")
    sound = Observer()
    host.register(sound, "sound")
    result = run("toy", out=out, host=host)
    before, after = result.warnings
    assert before == "Plugin 'broken' failed in dcgan_before_run: RuntimeError: lost connection. The run went on."
    assert "'broken' failed in dcgan_after_run: SystemExit: 1" in after
    assert [event[0] for event in sound.seen] == ["before", "after"]
    assert Result.load(out).warnings == [before]


def test_a_run_that_failed_is_not_announced_as_done(host, out, make_toy):
    observer = Observer()
    host.register(observer, "observer")
    with pytest.raises(ValueError, match="no luck"):
        run(make_toy(run=interrupting(ValueError("no luck"))), out=out, host=host)
    assert [event[0] for event in observer.seen] == ["before"]


SETTINGS = [
    {},
    {"times": 3, "exact": True},
    {"label": "two words", "levels": [0.001, 1e-12, 2]},
    {"label": "quotes \" and ' and \\ and $HOME; # é 😀"},
    {"label": "true", "extra": {"a": 1, "b c": 2}},
    {"label": "3"},
    {"label": ""},
    {"label": "two\nlines"},
    {"levels": []},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=map(str, range(len(SETTINGS))))
def test_the_command_in_the_result_repeats_the_run(settings, host, out, cli):
    result = run("toy", settings=settings, seed=5, limit=11, out=out, host=host)
    program, *words = shlex.split(result.command)
    assert program == "dcgan-analyze"
    again = cli(*words, "--json").assert_success().result
    assert again.config == result.config
    assert again.metrics == result.metrics
    assert (again.seed, again.limit, again.command) == (5, 11, result.command)


def test_the_command_names_a_checkpoint_and_a_dataset_as_they_were_given(host, out, cli, tiny_checkpoint, tmp_path):
    tiny_checkpoint.save(tmp_path / "mine.safetensors")
    result = run("toy", checkpoint=tmp_path / "mine.safetensors", dataset="toy-images", out=out, host=host)
    again = cli(*shlex.split(result.command)[1:], "--json").assert_success().result
    assert again.checkpoint == result.checkpoint
    assert again.command == result.command


def test_settings_that_are_the_default_are_not_in_the_command(host, out):
    result = run("toy", settings={"times": 1, "levels": [0.1, 1.0]}, out=out, host=host)
    assert result.command == "dcgan-analyze run toy --dataset toy-images --seed 0"


def test_installed_plugins_are_used_where_no_host_is_given(host, out, monkeypatch):
    monkeypatch.setattr(runner, "default_host", lambda hook=None: host)
    assert run("toy", out=out).analysis == "toy"

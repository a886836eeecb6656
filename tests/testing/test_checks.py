"""``check_analysis`` passes a sound analysis and names the rule that a bad one breaks."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import pytest
from pydantic import ConfigDict, Field, field_serializer

from dcgan_analysis.api import AnalysisConfig, Metric, Needs
from dcgan_analysis.errors import AnalysisError, DatasetError, RegistrationError
from dcgan_analysis.testing import check_analysis

_count = itertools.count()


class Config(AnalysisConfig):
    times: int = Field(default=1, description="how often")


class Sound:
    """Keeps the contract; each test replaces one member."""

    name = "sound"
    summary = "Draws a number"
    question = "Which number is drawn?"
    reference = "none"
    config_type = Config
    needs = Needs(checkpoint="any", dataset="any", generator=True, discriminator=True)

    def __init__(self, work=None, **members):
        self.work = work
        vars(self).update(members)

    def metrics(self, context):
        return {"number": Metric(value=float(context.rng("number").random()))}

    def run(self, context, config):
        if self.work is not None:
            self.work(context)
        return context.result(title="Sound", headline="number", metrics=self.metrics(context))


def read_everything(context):
    """What a good analysis may do."""
    context.checkpoint.generator()(context.checkpoint.latents(2, seed=0))
    hook = context.checkpoint.discriminator().register_forward_hook(lambda *_: None)
    hook.remove()
    changed = copy.deepcopy(context.checkpoint.discriminator()).train()
    changed.zero_grad()
    context.save_arrays("labels", test=context.split("test").labels)


def test_a_sound_analysis_passes_and_its_result_is_returned(dcgan_context):
    result = check_analysis(Sound(read_everything), dcgan_context)
    assert result.analysis == "sound"
    assert result.checkpoint.name == "tiny"


def test_the_context_given_stays_unused(dcgan_context):
    check_analysis(Sound(read_everything), dcgan_context)
    assert dcgan_context.result(title="t", headline="m", metrics={"m": Metric(value=1)}).files == {}


def test_an_analysis_without_checkpoint_passes(dcgan_context):
    dcgan_context._checkpoint = None
    check_analysis(Sound(), dcgan_context)


def test_the_runs_use_the_settings_given(dcgan_context):
    assert check_analysis(Sound(), dcgan_context, {"times": 3}).config == {"times": 3}


class Required(AnalysisConfig):
    times: int


class Lenient(AnalysisConfig):
    model_config = ConfigDict(extra="ignore")


class Unserialisable(AnalysisConfig):
    thing: Any = Field(default_factory=object)


class Rounding(AnalysisConfig):
    share: float = 0.125

    @field_serializer("share")
    def _rounded(self, value):
        return round(value, 1)


BAD_MEMBERS = {
    "name with capitals": ({"name": "SVM"}, "registers the analysis 'SVM'; a name is lower-case"),
    "no summary": ({"summary": ""}, r"'sound': its summary must be one line of text, got ''\."),
    "summary of two lines": ({"summary": "a\nb"}, "its summary must be one line"),
    "summary no string": ({"summary": 3}, "its summary must be a string, got 3"),
    "question is a statement": ({"question": "A number."}, "must end with a question mark, got 'A number.'"),
    "reference padded": ({"reference": " section 5 "}, "its reference must be one line"),
    "needs of another type": ({"needs": {}}, "its needs must be a dcgan_analysis.api.Needs"),
    "config of another type": ({"config_type": dict}, "must be a subclass of AnalysisConfig"),
    "setting without default": ({"config_type": Required}, "every setting needs a default; .*: times"),
    "unknown keys accepted": ({"config_type": Lenient}, "its settings accept an unknown key"),
    "settings are not JSON": ({"config_type": Unserialisable}, "its settings do not survive JSON: .*serialize"),
    "settings change in JSON": ({"config_type": Rounding}, "do not survive JSON: .*0.125.* became .*0.1"),
}


@pytest.mark.parametrize("case", BAD_MEMBERS)
def test_a_malformed_member_is_named(case, dcgan_context):
    members, message = BAD_MEMBERS[case]
    with pytest.raises((AssertionError, RegistrationError), match=message) as caught:
        check_analysis(Sound(**members), dcgan_context)
    assert "\n" not in str(caught.value)


def test_a_class_instead_of_an_instance_is_refused(dcgan_context):
    with pytest.raises(RegistrationError, match=r"registers the class Sound; register an instance"):
        check_analysis(Sound, dcgan_context)


def change_weights(context):
    next(iter(context.checkpoint.weights["generator"].values())).zero_()


def change_parameter(context):
    next(context.checkpoint.generator().parameters()).data.add_(1)


def change_statistics(context):
    network = context.checkpoint.discriminator().train()
    network(context.checkpoint.generator()(context.checkpoint.latents(4, seed=0)))
    network.eval()


def change_mode(context):
    context.checkpoint.discriminator().train()


def leave_hook(context):
    next(context.checkpoint.discriminator().children()).register_forward_hook(lambda *_: None)


def convert(context):
    context.checkpoint.discriminator().half()


@pytest.mark.parametrize(
    ("work", "what"),
    [
        (change_weights, "the weights 'generator.* of the checkpoint"),
        (change_parameter, "the parameter or buffer '.*' of the generator"),
        (change_statistics, "the parameter or buffer '.*(running|num_batches).*' of the discriminator"),
        (change_mode, "the train/eval mode of 'network' in the discriminator"),
        (leave_hook, "the hooks of '.+' in the discriminator"),
        (convert, "the parameter or buffer '.*' of the discriminator"),
    ],
)
def test_a_changed_model_is_noticed(work, what, dcgan_context):
    with pytest.raises(AssertionError, match=rf"^Analysis 'sound': it changes {what}; work on a copy, .*$"):
        check_analysis(Sound(work), dcgan_context)


def write_to_working_folder(context):
    Path("notes.txt").write_text("here", encoding="utf-8")


def write_beside_the_run(context):
    (context.output_dir.parent / "notes.txt").write_text("there", encoding="utf-8")


@pytest.mark.parametrize("work", [write_to_working_folder, write_beside_the_run])
def test_writing_outside_the_run_folder_is_noticed(work, dcgan_context):
    with pytest.raises(AssertionError, match=r"it writes outside context\.output_dir: notes\.txt\."):
        check_analysis(Sound(work), dcgan_context)


def test_writing_to_the_cache_is_allowed(dcgan_context):
    def work(context):
        context.cache_dir.mkdir(exist_ok=True)
        (context.cache_dir / "kept").write_text("warm", encoding="utf-8")

    check_analysis(Sound(work), dcgan_context)


def test_a_result_that_depends_on_more_than_the_seed_is_noticed(dcgan_context):
    analysis = Sound(metrics=lambda context: {"number": Metric(value=next(_count))})
    with pytest.raises(AssertionError, match=r"same seed differ in metric 'number': .* and .*\. Use context\.rng\."):
        check_analysis(analysis, dcgan_context)


def test_metrics_that_come_and_go_are_noticed(dcgan_context):
    analysis = Sound(metrics=lambda context: {"number": Metric(value=1), f"number-{next(_count)}": Metric(value=1)})
    with pytest.raises(AssertionError, match="same seed give other metrics"):
        check_analysis(analysis, dcgan_context)


def test_measured_times_may_differ(dcgan_context):
    def metrics(context):
        return {"number": Metric(value=1), "time": Metric(value=next(_count), unit="seconds")}

    check_analysis(Sound(metrics=metrics), dcgan_context)


def test_a_run_without_result_is_noticed(dcgan_context):
    analysis = Sound(run=lambda context, config: None)
    with pytest.raises(AnalysisError, match=r"returned None; its run must return what context\.result"):
        check_analysis(analysis, dcgan_context)


def changed_result(**changes):
    def run(context, config):
        return Sound().run(context, config).model_copy(update=changes)

    return Sound(run=run)


def test_files_that_were_not_written_are_noticed(dcgan_context):
    with pytest.raises(AssertionError, match=r"lists files that it did not write: features\.npz"):
        check_analysis(changed_result(files={"features": "features.npz"}), dcgan_context)


@pytest.mark.parametrize(
    "metric",
    [Metric.model_construct(value=float("nan")), Metric.model_construct(value=1.0, low=2.0, high=3.0)],
    ids=["not a number", "interval beside the value"],
)
def test_a_result_that_is_not_valid_is_noticed(metric, dcgan_context):
    with pytest.raises(AnalysisError, match=r"result\.json' is damaged: metrics\.number"):
        check_analysis(changed_result(metrics={"number": metric}), dcgan_context)


def test_an_error_of_the_run_comes_through(dcgan_context):
    analysis = Sound(lambda context: context.split("validation"))
    with pytest.raises(DatasetError, match="Dataset 'synthetic' has no split 'validation'"):
        check_analysis(analysis, dcgan_context)


def staged(work=None, after=None):
    """Make an analysis that reports progress in a stage: ``work`` is called in its loop, ``after`` in 'finally'."""

    def run(context, config):
        try:
            with context.stage("loop"):
                for done in range(1, 5):
                    if work is not None:
                        work(context)
                    context.progress("images", done, 4)
        finally:
            if after is not None:
                after(context)
        return Sound().run(context, config)

    return Sound(run=run)


def test_an_analysis_that_reports_progress_and_can_be_cancelled_passes(dcgan_context):
    seen = []
    check_analysis(staged(work=seen.append), dcgan_context)
    # Two whole runs of four steps, and one that was interrupted in the middle.
    assert len(seen) == 4 + 2 + 4


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (("", 1, 2), r"reports progress of ''; say in words"),
        (("images", 3, 2), r"reports progress 3 of 2 of 'images'; it must be whole"),
        (("images", 0.5, 1), r"reports progress 0\.5 of 1"),
        (("images", -1, 0), r"reports progress -1 of 0"),
    ],
)
def test_a_malformed_progress_report_is_noticed(report, message, dcgan_context):
    with pytest.raises(AssertionError, match=message):
        check_analysis(Sound(lambda context: context.progress(*report)), dcgan_context)


def test_long_work_without_a_report_is_noticed(dcgan_context, monkeypatch):
    monkeypatch.setattr("dcgan_analysis.conformance.checks._PATIENCE_SECONDS", -1.0)
    with pytest.raises(AssertionError, match=r"without a report; call context\.progress in its loops"):
        check_analysis(Sound(), dcgan_context)


def swallowing(answer):
    def run(context, config):
        try:
            with context.stage("loop"):
                context.progress("images", 1, 1)
        except KeyboardInterrupt:
            answer()
        return Sound().run(context, config)

    return Sound(run=run)


def give_up():
    msg = "stopped"
    raise RuntimeError(msg)


@pytest.mark.parametrize(
    ("answer", "message"), [(lambda: None, "it goes on after Ctrl-C"), (give_up, "turns Ctrl-C into RuntimeError")]
)
def test_an_interruption_that_does_not_end_the_run_is_noticed(answer, message, dcgan_context):
    with pytest.raises(AssertionError, match=message):
        check_analysis(swallowing(answer), dcgan_context)


def test_what_an_interrupted_run_leaves_on_the_model_is_noticed(dcgan_context):
    def run(context, config):
        first = next(context.checkpoint.discriminator().children())
        hook = first.register_forward_hook(lambda *_: None)
        for done in range(1, 4):
            context.progress("images", done, 3)
        hook.remove()
        return Sound().run(context, config)

    with pytest.raises(AssertionError, match=r"changes the hooks of '.*' in the discriminator when it ends with Keyb"):
        check_analysis(Sound(run=run), dcgan_context)


def test_a_changed_process_is_noticed(dcgan_context):
    import torch
    from torch.nn.modules.module import register_module_forward_hook

    changes = {
        "gradients on or off": lambda context: torch.set_grad_enabled(False),
        "the default dtype": lambda context: torch.set_default_dtype(torch.float64),
        "hooks on all modules": lambda context: register_module_forward_hook(lambda module, images, out: None),
    }
    for number, (what, work) in enumerate(changes.items()):
        context = copy.copy(dcgan_context)
        context.output_dir = dcgan_context.output_dir / str(number)
        try:
            with pytest.raises(AssertionError, match=rf"it changes {what}; put it back"):
                check_analysis(Sound(work), context)
        finally:
            torch.set_grad_enabled(True)
            torch.set_default_dtype(torch.float32)


def test_writing_somewhere_else_entirely_is_noticed(dcgan_context, tmp_path):
    def work(context):
        (tmp_path / "elsewhere.txt").write_text("over here", encoding="utf-8")

    with pytest.raises(AssertionError, match=r"it writes outside context\.output_dir: .*elsewhere\.txt\."):
        check_analysis(Sound(work), dcgan_context)


def test_reading_anywhere_is_allowed(dcgan_context, tmp_path):
    (tmp_path / "input.txt").write_text("given", encoding="utf-8")
    check_analysis(Sound(lambda context: (tmp_path / "input.txt").read_text(encoding="utf-8")), dcgan_context)

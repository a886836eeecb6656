"""The contract of an analysis, checked by running it twice, with an interruption in between."""

from __future__ import annotations

from contextlib import chdir
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import ValidationError

from dcgan_analysis.api.result import Metric, Result
from dcgan_analysis.core.registry import Registry
from dcgan_analysis.host.checks import check_members
from dcgan_analysis.runs.guard import ProcessState
from dcgan_analysis.runs.run import completed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dcgan_analysis.api.analysis import Analysis, AnalysisConfig
    from dcgan_analysis.api.context import RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.conformance.watching import Watch

_OWNER = "The test"
_NO_SETTING = "no_such_setting"
_PATIENCE_SECONDS = 5.0  # of processor time


def check_analysis(analysis: Analysis, context: RunContext, settings: Mapping[str, Any] | None = None) -> Result:
    """Check that an analysis keeps the contract of ``dcgan_analysis.api.Analysis``.

    Name and texts are well formed; settings have defaults, survive JSON, and refuse unknown keys; the run succeeds;
    its result is valid and reads back from JSON; progress reports are well formed, and work of more than a few seconds
    has some; an interruption in the middle (Ctrl-C) ends the run; a second run with the same seed measures the same,
    on what the interrupted one left in the cache. After each run the model is as it was found (weights, modes, hooks),
    and so are the images, torch's defaults and global hooks and the working folder; nothing is written outside the run
    folder and the cache.

    Args:
        analysis: What the plugin registers.
        context: What it works with, usually the fixture ``dcgan_context``. It is used as a pattern: the runs get
            contexts of their own, with folders in ``context.output_dir``.
        settings: Settings of the runs; what is not given has its default.

    Returns:
        The result of the first run.

    Raises:
        AssertionError: One line that names the rule and what breaks it.
        DcganAnalysisError: The same, where the framework itself refuses the analysis or its settings.

    Example::

        def test_hello_keeps_the_contract(dcgan_context):
            check_analysis(Hello(), dcgan_context)
    """
    _check_texts(analysis)
    _check_settings(analysis)
    config = analysis.config_type.build(settings or {})
    from dcgan_analysis.conformance.watching import Watch

    watch = Watch()
    first = _finished(analysis, config, context, "first", watch, context.cache_dir)
    _check_progress(analysis, watch)
    cache = context.output_dir / "cache"
    if watch.moments:
        _check_interruption(analysis, config, context, Watch(interrupt_at=watch.moments // 2 + 1), cache)
    second = _finished(analysis, config, context, "second", Watch(), cache)
    _check_repeated(analysis, first.metrics, second.metrics)
    return first


def _fail(analysis: Analysis, message: str) -> NoReturn:
    msg = f"Analysis '{analysis.name}': {message}"
    raise AssertionError(msg)


def _require(condition: bool, analysis: Analysis, message: str) -> None:
    if not condition:
        _fail(analysis, message)


def _check_texts(analysis: Analysis) -> None:
    check_members(analysis, _OWNER)
    Registry[object]("analysis").add(analysis.name, analysis, owner=_OWNER)
    for member in ("summary", "question", "reference"):
        text: str = getattr(analysis, member)
        well_formed = text.strip() == text != "" and len(text.splitlines()) == 1
        _require(well_formed, analysis, f"its {member} must be one line of text, got {text!r}.")
    question = analysis.question
    _require(question.endswith("?"), analysis, f"its question must end with a question mark, got {question!r}.")


def _check_settings(analysis: Analysis) -> None:
    kind = analysis.config_type
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    _require(not required, analysis, f"every setting needs a default; these have none: {', '.join(required)}.")
    config = kind.build({})
    try:
        again = kind.model_validate_json(config.model_dump_json())
    except ValueError as error:  # pydantic's errors, of writing and of reading, are ValueErrors
        _fail(analysis, f"its settings do not survive JSON: {' '.join(str(error).split())}.")
    _require(again == config, analysis, f"its settings do not survive JSON: {config!r} became {again!r}.")
    try:
        kind.model_validate({_NO_SETTING: 1})
    except ValidationError:
        return
    _fail(analysis, "its settings accept an unknown key; keep AnalysisConfig's extra='forbid'.")


@dataclass(frozen=True)
class _Attempt:
    """One call of ``run``: what it returned, or the exception that ended it."""

    result: object
    error: BaseException | None
    folder: Path


def _attempt(
    analysis: Analysis, config: AnalysisConfig, pattern: RunContext, name: str, watch: Watch, cache: Path | None
) -> _Attempt:
    """Call ``run`` in folders of its own and check what it leaves, however it ended."""
    from dcgan_analysis.conformance.watching import WatchedContext, outside, written_files

    folder = pattern.output_dir.resolve() / name
    run, work = folder / "run", folder / "work"
    run.mkdir(parents=True)
    work.mkdir()
    context = WatchedContext(
        output_dir=run,
        device=pattern.device,
        seed=pattern.seed,
        environment=pattern.environment,
        limit=pattern.limit,
        progress=watch,
        cache_dir=cache and cache.resolve(),
        _checkpoint=_watched(pattern._checkpoint),
        _dataset=pattern._dataset,
    )
    result, caught = None, None
    with chdir(work), written_files() as written:
        before = ProcessState()
        try:
            result = analysis.run(context, config)
        except BaseException as error:  # judged by the caller, once it is known what was left behind
            caught = error
        changed = before.restore()
    when = f" when it ends with {type(caught).__name__}" if caught is not None else ""
    _require(not changed, analysis, f"it changes {', '.join(changed)}{when}; put it back in 'finally'.")
    images = context.changed_splits()
    _require(not images, analysis, f"it changes the images of split '{''.join(images[:1])}'{when}; work on a copy.")
    allowed = [run, *([cache] if cache is not None else [])]
    stray = {path for path in folder.iterdir() if path not in (run, work)} | {*work.iterdir()}
    names = sorted({path.name for path in stray} | {*outside(written, [*allowed, *stray], pattern.output_dir.parent)})
    _require(not names, analysis, f"it writes outside context.output_dir{when}: {', '.join(names)}.")
    _check_model(analysis, context, when)
    return _Attempt(result, caught, run)


def _finished(
    analysis: Analysis, config: AnalysisConfig, pattern: RunContext, name: str, watch: Watch, cache: Path | None
) -> Result:
    attempt = _attempt(analysis, config, pattern, name, watch, cache)
    if attempt.error is not None:
        raise attempt.error
    return _check_result(analysis, completed(attempt.result, analysis, config), attempt.folder)


def _check_progress(analysis: Analysis, watch: Watch) -> None:
    _require(not watch.problem, analysis, f"{watch.problem}.")
    silent = watch.reports == 0 and watch.seconds > _PATIENCE_SECONDS
    _require(
        not silent,
        analysis,
        f"it works for {watch.seconds:.0f} s on tiny data without a report; call context.progress in its loops.",
    )


def _check_interruption(
    analysis: Analysis, config: AnalysisConfig, pattern: RunContext, watch: Watch, cache: Path
) -> None:
    error = _attempt(analysis, config, pattern, "interrupted", watch, cache).error
    _require(error is not None, analysis, "it goes on after Ctrl-C; do not catch KeyboardInterrupt.")
    _require(
        isinstance(error, KeyboardInterrupt),
        analysis,
        f"it turns Ctrl-C into {type(error).__name__}: {error}; let KeyboardInterrupt through.",
    )


def _watched(checkpoint: Checkpoint | None) -> Checkpoint | None:
    if checkpoint is None:
        return None
    from dcgan_analysis.conformance.networks import WatchedCheckpoint

    return WatchedCheckpoint.watch(checkpoint)


def _check_model(analysis: Analysis, context: RunContext, when: str) -> None:
    from dcgan_analysis.conformance.networks import WatchedCheckpoint

    if isinstance(context._checkpoint, WatchedCheckpoint):
        change = context._checkpoint.change()
        _require(change is None, analysis, f"it changes {change}{when}; work on a copy, and remove hooks in 'finally'.")


def _check_result(analysis: Analysis, result: Result, folder: Path) -> Result:
    listed = [*result.files.values(), *(figure.file for figure in result.figures)]
    missing = [name for name in listed if not (folder / name).is_file()]
    _require(not missing, analysis, f"its result lists files that it did not write: {', '.join(missing)}.")
    result.save(folder)
    again = Result.load(folder).model_copy(update={"folder": result.folder})
    _require(again == result, analysis, "its result does not read back from JSON as it was.")
    return result


def _check_repeated(analysis: Analysis, first: Mapping[str, Metric], second: Mapping[str, Metric]) -> None:
    _require(first.keys() == second.keys(), analysis, "two runs with the same seed give other metrics.")
    for name, metric in first.items():
        # Times differ from run to run.
        if metric.unit != "seconds":
            values = f"{metric.value!r} and {second[name].value!r}"
            same = metric == second[name]
            _require(
                same, analysis, f"two runs with the same seed differ in metric '{name}': {values}. Use context.rng."
            )

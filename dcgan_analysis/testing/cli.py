"""The command line in the process of the test, with what it printed."""

from __future__ import annotations

import io
import json
import shlex
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from dcgan_analysis.api.result import Result

__all__ = ["CommandOutcome", "invoke"]


@dataclass(frozen=True)
class CommandOutcome:
    """What a call of ``dcgan-analyze`` came to.

    Attributes:
        args: The words after ``dcgan-analyze``.
        exit_code: 0 done, 1 an error of the user's, 2 wrong usage.
        out: Standard output.
        err: Standard error.
        folder: The working folder of the call.
    """

    args: tuple[str, ...]
    exit_code: int
    out: str
    err: str
    folder: Path

    def assert_success(self) -> Self:
        """Fail with the command's own words unless it exited with 0; returns itself."""
        if self.exit_code != 0:
            msg = f"'dcgan-analyze {shlex.join(self.args)}' exited with {self.exit_code}: {self.err.strip()}"
            raise AssertionError(msg)
        return self

    def json(self) -> Any:
        """Return standard output, all of which must be one JSON document (``--json``)."""
        try:
            return json.loads(self.out)
        except ValueError as error:
            msg = f"Standard output of 'dcgan-analyze {shlex.join(self.args)}' is not JSON ({error}): {self.out!r}"
            raise AssertionError(msg) from None

    @property
    def result(self) -> Result:
        """The result of ``run``: the one printed by ``--json``, else the newest run below the working folder."""
        from dcgan_analysis.api.result import RESULT_FILE, Result

        if "--json" in self.args:
            return Result.model_validate(self.json())
        documents = sorted(self.folder.rglob(RESULT_FILE), key=lambda path: path.stat().st_mtime_ns)
        if not documents:
            msg = f"'dcgan-analyze {shlex.join(self.args)}' left no run below {self.folder}."
            raise AssertionError(msg)
        return Result.load(documents[-1].parent)


def invoke(*args: str | Path) -> CommandOutcome:
    """Call ``dcgan-analyze`` in this process; an exception that it does not turn into an exit code goes through."""
    from dcgan_analysis.cli.main import main

    arguments = tuple(map(str, args))
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            code = stop.code
    return CommandOutcome(
        arguments, code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue(), Path.cwd()
    )

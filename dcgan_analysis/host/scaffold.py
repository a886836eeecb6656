"""A new plugin package: the example package under another name, ready to have its question replaced."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dcgan_analysis.core.files import atomic_folder
from dcgan_analysis.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Container

_MODULE = "dcgan_analysis_hello.py"
_FILES = (
    "pyproject.toml",
    "README.md",
    ".gitignore",
    ".github/workflows/test.yml",
    _MODULE,
    "tests/test_hello.py",
)
# The names in the example, the longer ones first.
_EXAMPLE_NAME = re.compile("dcgan-analysis-hello|dcgan_analysis_hello|test_hello|Hello|hello")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")


def render_plugin(name: str) -> dict[str, str]:
    """Return the files of a package whose plugin and analysis are called ``name``: path -> text.

    Raises:
        ConfigError: If no package can be named so.

    Example:
        >>> sorted(render_plugin("my-probe"))[3:]
        ['dcgan_analysis_my_probe.py', 'pyproject.toml', 'tests/test_my_probe.py']
    """
    if not _NAME.match(name):
        msg = f"Plugin name '{name}' must be lower-case words and digits joined by hyphens, like 'my-probe'."
        raise ConfigError(msg)
    folder = _example_folder()
    example = {file: (folder / file).read_text(encoding="utf-8") for file in _FILES}
    identifier, class_name = name.replace("-", "_"), "".join(word.capitalize() for word in name.split("-"))
    _check_class(name, class_name, example[_MODULE])
    new_names = {
        "dcgan-analysis-hello": f"dcgan-analysis-{name}",
        "dcgan_analysis_hello": f"dcgan_analysis_{identifier}",
        "test_hello": f"test_{identifier}",
        "Hello": class_name,
        "hello": name,
    }

    def renamed(text: str) -> str:
        return _EXAMPLE_NAME.sub(lambda match: new_names[match[0]], text)

    return {renamed(path): renamed(text) for path, text in example.items()}


def _example_folder() -> Path:
    """Return the example package: inside the installed package, or beside it in a clone."""
    here = Path(__file__).resolve()
    installed, clone = here.parent / "example", here.parents[2] / "examples" / "dcgan-analysis-hello"
    return installed if installed.is_dir() else clone


def _check_class(name: str, class_name: str, source: str) -> None:
    """Refuse a name whose class would hide one that the module uses."""
    used = set(re.findall(r"\b[A-Z]\w*", source)) - {"Hello", "HelloConfig"}
    taken = {class_name, f"{class_name}Config"} & used
    if taken or keyword.iskeyword(class_name):
        word = min(taken, default=class_name)
        msg = f"Plugin name '{name}' would make a class '{word}', which is taken. Choose another, like '{name}-probe'."
        raise ConfigError(msg)


def new_plugin(name: str, out: Path | None = None, *, taken: Container[str] = ()) -> Path:
    """Write a package, whole or not at all.

    Args:
        name: What the plugin and its analysis are called: ``"my-probe"``.
        out: Its folder, which must not exist; ``dcgan-analysis-<name>`` in the working folder if None.
        taken: Names of analyses that exist already.

    Returns:
        The folder.

    Raises:
        ConfigError: If the name is malformed or taken, or the folder exists.
    """
    files = render_plugin(name)
    if name in taken:
        msg = f"Analysis '{name}' exists already; two of one name cannot be installed together. Choose another name."
        raise ConfigError(msg)
    folder = out or Path(f"dcgan-analysis-{name}")
    try:
        with atomic_folder(folder) as temporary:
            for path, text in files.items():
                target = temporary / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8")
    except FileExistsError:
        msg = f"'{folder}' exists; nothing in it was touched. Choose another folder (out)."
        raise ConfigError(msg) from None
    return folder

"""Pages of the site that no file in docs/ holds: the home page, the field reference, settings, model cards, reports.

mkdocs calls the two hooks at the end; the tests call ``reference_pages``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
GALLERY = ROOT / "build" / "gallery"
CARDS = sorted(path.parent.name for path in (ROOT / "checkpoints").glob("*/README.md"))


def public_modules() -> dict[str, str]:
    """Return the modules of docs/plugin-api.md and what each is for."""
    page = (ROOT / "docs" / "plugin-api.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(dcgan_analysis[\w.]*)` \| (.*) \|$", page, re.MULTILINE))


def home_of(module: str, name: str) -> str:
    """Return the full name of a public name where it is defined, as the stub or the imports of its module say."""
    file = Path(importlib.import_module(module).__file__ or "")
    stub = file.with_suffix(".pyi")
    tree = ast.parse((stub if stub.exists() else file).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return f"{module}.{node.module}.{name}" if node.level else f"{node.module}.{name}"
    return f"{module}.{name}"


def fields_table(model: type[BaseModel]) -> str:
    """Return a Markdown table of a model's fields: name, type, default and range, meaning."""
    lines = ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
        limits = ", ".join(_limit(item) for item in field.metadata if _limit(item))
        kind = field.annotation if isinstance(field.annotation, type) else str(field.annotation)
        text = kind.__name__ if isinstance(kind, type) and not getattr(kind, "__args__", None) else str(kind)
        text = re.sub(r"\b(?:typing|annotated_types|collections\.abc|pathlib|dcgan_analysis[\w.]*)\.", "", text)
        text = re.sub(r"Annotated\[(\w+), [^\]]*\]", r"\1", text)
        meaning = f"{field.description or ''}{f' ({limits})' if limits else ''}"
        lines.append("| " + " | ".join(_cell(each) for each in (f"`{name}`", f"`{text}`", default, meaning)) + " |")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_shown(each) for each in value) + "]"
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else str(value)


def _limit(item: Any) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return " and ".join(f"{signs[key]} {getattr(item, key)}" for key in signs if getattr(item, key, None) is not None)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def reference_pages() -> dict[str, str]:
    """Return the pages of the field reference: path in the site -> Markdown."""
    from pydantic import BaseModel

    # The package itself comes last: what it offers for short is described in the rooms.
    pages, rows, seen = {}, [], set()
    for module, purpose in [*list(public_modules().items())[1:], *list(public_modules().items())[:1]]:
        names = sorted(importlib.import_module(module).__all__, key=str.lower)
        rows.append(f"| [`{module}`]({module}.md) | {purpose} | {len(names)} |")
        parts = [f"# `{module}`", purpose[0].upper() + purpose[1:] + "."]
        for name in names:
            if home_of(module, name) in seen:
                parts += [f"## {name}", f"See [`{home_of(module, name)}`][{home_of(module, name)}]."]
                continue
            value = getattr(importlib.import_module(module), name)
            if inspect.isclass(value) and issubclass(value, BaseModel):
                options = "    options:\n      members: []\n      show_bases: false\n"
                parts += [f"::: {home_of(module, name)}\n{options}", fields_table(value)]
            elif inspect.isclass(value) or inspect.isfunction(value):
                parts.append(f"::: {home_of(module, name)}")
            else:
                kind = f"`{home_of(module, name)}`"
                parts += [f"## {name}", f"{kind}, {_constant(value)}"]
        seen |= {home_of(module, name) for name in names}
        pages[f"reference/{module}.md"] = "\n\n".join(parts) + "\n"
    head = (
        "# Field reference\n\nEvery public name by the module that it is imported from, and every analysis's settings."
    )
    table = "\n".join(["| module | what for | names |", "|---|---|---|", *rows])
    more = "[Settings of every analysis](settings.md)"
    pages["reference/index.md"] = f"{head}\n\n{table}\n\n{more}\n"
    pages["reference/settings.md"] = settings_page()
    return pages


def _constant(value: Any) -> str:
    text = " ".join(str(value).split())
    return f"a {type(value).__name__}: `{text[:200]}`" if len(text) <= 200 else f"a {type(value).__name__}."


def settings_page() -> str:
    """Return the settings of all registered analyses, and of training, as one page."""
    from dcgan_analysis.host.host import default_host
    from dcgan_analysis.training import TrainingConfig

    analyses = default_host().analyses
    parts = ["# Settings", "What `--set NAME=VALUE`, `--config FILE.toml` and `settings={...}` take."]
    for name in analyses.names():
        analysis = analyses[name]
        if type(analysis).__module__.split(".")[0].startswith("dcgan_analysis"):
            source = re.sub(r"(https?://[^ ,;]+)", r"<\1>", analysis.reference)
            parts += [f"## {name}", f"{analysis.question} {source}", fields_table(analysis.config_type)]
    parts += ["## train", "`dcgan-analyze train`", fields_table(TrainingConfig)]
    return "\n\n".join(parts) + "\n"


def rooted(text: str, folder: str) -> str:
    """Return a page that lies outside docs/ with its links as they are in the site.

    Args:
        text: Markdown.
        folder: Where the page lies in the repository, with a slash at its end; empty for the root.
    """

    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if "://" in target:
            return match[0]
        path = (ROOT / folder / target).resolve().relative_to(ROOT).as_posix()
        depth = "../" * (1 if folder else 0)
        known = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
        card = re.fullmatch(r"checkpoints/([\w.-]+)/(README\.md|samples\.png)", path)
        if card:
            path = f"model-cards/{card[1]}" + (".md" if card[2] == "README.md" else ".png")
        return f"]({depth}{known.get(path, path.removeprefix('docs/'))}{anchor})"

    return re.sub(r"\]\(([^)#\s]+)(#[\w-]+)?\)", link, text)


def gallery_rows() -> str:
    """Return the reports in ``build/gallery`` as a table of Markdown; where there are none, what is missing."""
    from dcgan_analysis.api import Result
    from dcgan_analysis.report.format import label, metric_text

    if not (runs := gallery_runs()):
        return "**No reports yet.**"
    rows = ["| report | its question, and what came out here |", "|---|---|"]
    for folder in runs:
        result = Result.load(folder)
        report = f"gallery/{folder.name}/report.html"
        number = f"{label(result.headline)} {metric_text(result.metrics[result.headline])}"
        picture = f"[![{result.title}](gallery/{folder.name}/thumbnail.jpg){{ width=360 }}]({report})"
        rows.append(f"| {picture} | **[{folder.name}]({report})**<br>{result.question}<br>{number} |")
    return "\n".join(rows)


def gallery_runs() -> list[Path]:
    """Return the run folders of the gallery that have a report with a figure."""
    return sorted(path.parent for path in GALLERY.glob("*/figures") if (path.parent / "report.html").exists())


def thumbnail(folder: Path) -> bytes:
    """Return the first figure of a run as a small JPEG file."""
    import io

    from PIL import Image

    from dcgan_analysis.api import Result

    drawn = io.BytesIO()
    with Image.open(folder / Result.load(folder).figures[0].file) as picture:
        small = picture.convert("RGB")
    small.thumbnail((440, 330))
    small.save(drawn, "JPEG", quality=85)
    return drawn.getvalue()


def on_config(config: MkDocsConfig) -> None:
    """Put the pages that are made here into the navigation."""
    modules = [
        {module.removeprefix("dcgan_analysis.") or module: f"reference/{module}.md"} for module in public_modules()
    ]
    reference = ["reference/index.md", {"Settings": "reference/settings.md"}, *modules]
    cards = [{name: f"model-cards/{name}.md"} for name in CARDS]
    project = [{"Contributing": "contributing.md"}, {"Changelog": "changelog.md"}, {"Model cards": cards}]
    *guide, last = config.nav
    config.nav = [{"Home": "index.md"}, *guide, {"Reference": reference}, {"Project": [*last["Project"], *project]}]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are made here."""
    from mkdocs.structure.files import File

    pages = reference_pages()
    for source, target in (
        ("README.md", "index.md"),
        ("CHANGELOG.md", "changelog.md"),
        ("CONTRIBUTING.md", "contributing.md"),
    ):
        pages[target] = rooted((ROOT / source).read_text(encoding="utf-8"), "")
    for name in CARDS:
        folder = f"checkpoints/{name}/"
        pages[f"model-cards/{name}.md"] = rooted((ROOT / folder / "README.md").read_text(encoding="utf-8"), folder)
        if (ROOT / folder / "samples.png").exists():
            picture = (ROOT / folder / "samples.png").read_bytes()
            files.append(File.generated(config, f"model-cards/{name}.png", content=picture))
    for run in gallery_runs():
        report = (run / "report.html").read_text(encoding="utf-8")
        files.append(File.generated(config, f"gallery/{run.name}/report.html", content=report))
        files.append(File.generated(config, f"gallery/{run.name}/thumbnail.jpg", content=thumbnail(run)))
    for uri, text in pages.items():
        files.append(File.generated(config, uri, content=text))


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that lead out of docs/ to the pages made of their targets."""
    if page.file.generated_by:
        return markdown
    if page.file.src_uri == "gallery.md":
        markdown = markdown.replace("<!-- gallery -->", gallery_rows())
    up = "../" * page.file.src_uri.count("/")
    markdown = re.sub(r"\]\((?:\.\./)+checkpoints/([\w.-]+)/README\.md", rf"]({up}model-cards/\1.md", markdown)
    return re.sub(r"\[([^\]]+)\]\((?:\.\./)+examples/[^)]*\)", r"\1", markdown)

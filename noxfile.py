"""What is run again and again: nox -l lists it, nox -s lint types runs some of it."""

from __future__ import annotations

from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "types", "test", "docs"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session
def test(session: nox.Session) -> None:
    """Run the tests on all cores, or what is given: nox -s test -- tests/linear."""
    session.install(".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python=PYTHONS)
def test_all(session: nox.Session) -> None:
    """Run the tests on every Python that is supported."""
    session.install(".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Build sdist and wheel, install the wheel, and go through the README's first steps far from the clone."""
    session.install("build")
    built = Path(session.create_tmp()) / "dist"
    session.run("python", "-m", "build", "--outdir", str(built))
    session.install(*map(str, built.glob("*.whl")))
    session.run("python", "scripts/first_steps.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("ruff>=0.8")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install(".[dev]")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site with its gallery of reports; nox -s docs -- serve shows it while it is written."""
    session.install(".[docs]")
    if not Path("build/gallery").exists():
        session.run("dcgan-analyze", "demo", "--all", "--out", "build/gallery")
    session.run("mkdocs", *(session.posargs or ("build", "--strict")))


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the code in small ways that a test should notice: nox -s mutation -- 'dcgan_analysis.linear.path*'.

    ``mutmut show NAME`` shows a change that no test noticed; [tool.mutmut] in pyproject.toml says which tests are run.
    """
    session.install(".[test]", "mutmut>=3.8")
    session.run("mutmut", "run", *session.posargs, env={"OMP_NUM_THREADS": "1"})
    session.run("mutmut", "results")


@nox.session
def bench(session: nox.Session) -> None:
    """Run a benchmark: nox -s bench -- l2svm.py; without a name, list them."""
    if not session.posargs:
        session.run("ls", "benchmarks", external=True)
        return
    session.install(".")
    name, *options = session.posargs
    session.run("python", f"benchmarks/{name}", *options)

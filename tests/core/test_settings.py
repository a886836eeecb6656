from __future__ import annotations

import datetime
import inspect
from typing import Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from dcgan_analysis.core.settings import Settings, parse_assignments, read_toml
from dcgan_analysis.errors import ConfigError


class Example(Settings):
    draws: int = Field(default=10, ge=1)
    C: tuple[float, ...] = (0.1, 1.0)
    mode: Literal["fast", "exact"] = "fast"
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            msg = "low must not exceed high"
            raise ValueError(msg)
        return self


def test_what_is_not_given_has_its_default():
    assert Example.build({}) == Example()
    assert Example.build({"draws": 3}).model_dump() == Example().model_dump() | {"draws": 3}


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Example().draws = 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drews": 3}, r"^Unknown setting 'drews'\. Did you mean 'draws'\? Available: draws, C, mode, low, high\.$"),
        ({"zzz": 3}, r"^Unknown setting 'zzz'\. Available: draws, C, mode, low, high\.$"),
        ({"draws": 0}, r"^draws: must be greater than or equal to 1, got 0\.$"),
        ({"draws": "many"}, r"^draws: must be a valid integer, .*, got 'many'\.$"),
        ({"draws": 2.5}, r"^draws: must be a valid integer, .*, got 2\.5\.$"),
        ({"C": [1, "x"]}, r"^C\.1: must be a valid number, .*, got 'x'\.$"),
        ({"C": [float("inf")]}, r"^C\.0: must be a finite number, got inf\.$"),
        ({"mode": "slow"}, r"^mode: must be 'fast' or 'exact', got 'slow'\.$"),
        ({"low": 2}, r"^low must not exceed high\.$"),
        ({"mode": 300 * "x"}, r"^mode: must be 'fast' or 'exact', got 'x{99}\.\.\.\.$"),
        ({"draws": 0, "mode": "slow"}, r"^draws: must be .*, got 0; mode: must be .*, got 'slow'\.$"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Example.build(settings)
    assert "\n" not in str(caught.value)


def test_a_class_without_settings_says_so():
    with pytest.raises(ConfigError, match=r"Unknown setting 'draws'\. Available: none\."):
        Settings.build({"draws": 1})


def test_the_signature_shows_the_fields_before_and_after_first_use():
    class Fresh(Settings):
        draws: int
        C: tuple[float, ...] = (0.1, 1.0)
        mode: Literal["fast", "exact"] = "fast"
        names: list[str] = Field(default_factory=list)
        limit: int | None = None

    class Finer(Fresh):
        step: float = 0.5

    shown = str(inspect.signature(Fresh))
    assert shown == (
        "(*, draws: int, C: tuple[float, ...] = (0.1, 1.0), mode: Literal['fast', 'exact'] = 'fast', "
        "names: list[str] = <factory>, limit: int | None = None) -> None"
    )
    assert not Fresh.__pydantic_complete__  # nothing was built for it
    Fresh.build({"draws": 3})
    assert Fresh.__pydantic_complete__
    assert str(inspect.signature(Fresh)) == shown
    assert list(inspect.signature(Finer).parameters) == [*inspect.signature(Fresh).parameters, "step"]


def test_a_wrong_default_is_found_where_nothing_is_given():
    class Wrong(Settings):
        draws: int = Field(default=0, ge=1)

    with pytest.raises(ConfigError, match="draws"):
        Wrong.build({})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a = 1", 1),
        ("a=1e-4", 1e-4),
        ("a=true", True),
        ("a=[1, 2.5]", [1, 2.5]),
        ('a="1"', "1"),
        ("a={width = 8}", {"width": 8}),
        ("a=last-10000", "last-10000"),
        ("a=", ""),
        ("a=x=y", "x=y"),
        ("a=True", "True"),
        ("a=2026-01-31", datetime.date(2026, 1, 31)),
    ],
)
def test_a_value_is_toml_where_it_can_be_and_text_otherwise(text, value):
    assert parse_assignments([text]) == {"a": value}


def test_the_last_assignment_wins():
    assert parse_assignments(["a=1", "b=2", "a=3"]) == {"a": 3, "b": 2}


def test_a_value_cannot_smuggle_in_further_settings():
    assert set(parse_assignments(["a=1\nb = 2"])) == {"a"}


@pytest.mark.parametrize("text", ["a", "=1", " = 1", ""])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(ConfigError, match=rf"^A setting is given as key=value, got '{text}'\. Example: "):
        parse_assignments([text])


def test_a_toml_file_is_read(tmp_path):
    (tmp_path / "a.toml").write_text('draws = 3\nmode = "exact"\n', encoding="utf-8")

    assert read_toml(tmp_path / "a.toml") == {"draws": 3, "mode": "exact"}


def test_an_unreadable_toml_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "broken.toml").write_text("draws = \n", encoding="utf-8")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")

    for name, message in {
        "absent.toml": r"absent\.toml' does not exist\.$",
        "broken.toml": r"broken\.toml' is not TOML: ",
        "binary.toml": r"binary\.toml' is not TOML: ",
        "": r"cannot be read: Is a directory\.$",
    }.items():
        with pytest.raises(ConfigError, match=f"^Configuration file '.*{message}") as caught:
            read_toml(tmp_path / name)
        assert "\n" not in str(caught.value)

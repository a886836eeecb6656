from __future__ import annotations

import json
import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dcgan_analysis.core import documents
from dcgan_analysis.core.documents import DocumentError, parse_json, parse_toml, read_document

PLAIN = st.none() | st.booleans() | st.integers(-(2**100), 2**100) | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
DOCUMENTS = st.recursive(
    PLAIN | TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS)
def test_what_json_can_say_is_read_as_it_was_written(document):
    assert parse_json(json.dumps(document)) == document


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40) | st.text('[]{}",:\\u0dD8NaInfinity-e19. ', max_size=40))
def test_any_other_text_is_refused_with_its_own_error(text):
    for parse in (parse_json, lambda text: parse_toml(text if isinstance(text, str) else text.decode("latin-1"))):
        with suppress(DocumentError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("[" * 200_000, "nested more than 64 deep"),
        ("9" * 41, r"9{40}\.\.\. is no number that may stand here"),
        ("[1, -Infinity]", "-Infinity is no number"),
        ("1e400", "1e400 is no number"),
        (r'"\ud800"', "half a character"),
        (r'{"a\u0000": 1}', "NUL"),
    ],
)
def test_what_goes_beyond_the_limits_is_refused(text, message):
    with pytest.raises(DocumentError, match=message):
        parse_json(text)


def test_what_stays_within_the_limits_is_read():
    assert parse_json("[" * 64 + "]" * 64)
    assert parse_json("9" * 40) == 10**40 - 1
    assert parse_json(r'"\ud83d\ude00 \\u0000"') == "\U0001f600 \\u0000"
    assert parse_json("[Infinity]", finite=False) == [float("inf")]


def test_a_large_file_a_pipe_and_text_of_another_encoding_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert read_document(path) == "{}"
    monkeypatch.setattr(documents, "LARGEST", 3)
    with pytest.raises(DocumentError, match="more than 3 bytes"):
        read_document(path)
    path.write_bytes(b"\xff")
    with pytest.raises(DocumentError, match="utf-8"):
        read_document(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DocumentError, match="a pipe or a device"):
        read_document(tmp_path / "pipe")

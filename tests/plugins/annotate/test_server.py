from __future__ import annotations

import asyncio
import socket
import sys

import pytest
from dcgan_analysis_annotate import server

from dcgan_analysis.core.files import writer_lock
from dcgan_analysis.errors import AnnotationError

COOKIE = {"cookie": "other=1; dcgan-analysis-8064=secret"}
HERE = {"host": "127.0.0.1:8064"}


def ask(kind="http", query="", **headers):
    """Return what the server sends to a request with these headers."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start" if kind == "http" else "let through", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    scope = {
        "type": kind,
        "path": "/",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(server.OnlyThisPage(app, 8064, "secret")(scope, None, send))
    return sent[0]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_page_itself_is_answered(kind, name):
    answer = ask(kind, host=f"{name}:8064", origin=f"http://{name}:8064", **COOKIE)
    assert answer["status"] == 200


def test_a_page_is_asked_for_without_an_origin_a_websocket_never():
    assert ask("http", **HERE, **COOKIE)["status"] == 200
    assert ask("websocket", **HERE, **COOKIE) == {"type": "websocket.close", "code": 1008}


def test_the_token_of_the_address_becomes_a_cookie_and_nothing_is_answered_without_it():
    origin = {"origin": "http://127.0.0.1:8064"}
    welcome = ask("http", query="token=secret", **HERE)
    headers = dict(welcome["headers"])
    assert (welcome["status"], headers[b"location"]) == (303, b"/")
    assert headers[b"set-cookie"] == b"dcgan-analysis-8064=secret; HttpOnly; SameSite=Strict; Path=/"
    for query, cookie in (("", {}), ("token=guess", {}), ("", {"cookie": "dcgan-analysis-8064=guess"})):
        assert ask("http", query=query, **HERE, **cookie)["status"] == 403
        assert ask("websocket", query=query, **HERE, **origin, **cookie)["code"] == 1008
    assert ask("websocket", query="token=secret", **HERE, **origin)["code"] == 1008


@pytest.mark.parametrize("headers", [HERE | COOKIE, HERE, {}])
def test_no_answer_may_be_shown_in_a_frame_of_another_page(headers):
    said = dict(ask("http", **headers)["headers"])
    assert said[b"content-security-policy"] == b"frame-ancestors 'none'"
    assert said[b"x-frame-options"] == b"DENY"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "evil.example"},
        {"host": "127.0.0.1:9"},
        {"host": "127.0.0.1:8064", "origin": "http://evil.example"},
        {"host": "127.0.0.1:8064", "origin": "null"},
    ],
)
def test_other_sites_are_refused(headers):
    headers = headers | COOKIE
    assert ask("http", **headers)["status"] == 403
    assert ask("websocket", **headers) == {"type": "websocket.close", "code": 1008}


def test_it_listens_on_the_loopback_address_and_a_taken_port_is_said_in_one_line():
    with server.listen(0) as listener:
        address, port = listener.getsockname()
        assert address == "127.0.0.1"
        with pytest.raises(AnnotationError, match=f"Port {port} is in use. Choose another: --port {port + 1}"):
            server.listen(port)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_without_the_extra_one_line_says_how_to_install_it(run_cli, monkeypatch):
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    outcome = run_cli("annotate", "--no-browser")
    assert outcome.exit_code == 1
    assert outcome.err == (
        "Error: The page needs the extra 'annotate'. Install it: pip install 'dcgan-analysis[annotate]'\n"
    )


def test_help_names_what_is_served_and_loads_no_library_of_the_page(run_cli):
    before = set(sys.modules)
    outcome = run_cli("annotate", "--help").assert_success()
    assert "127.0.0.1 alone" in outcome.out
    assert not {"nicegui", "uvicorn"} & (set(sys.modules) - before)


def test_a_second_page_on_the_same_folder_is_refused(run_cli, tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "serve", lambda *arguments, opened: pytest.fail("it was served"))
    tiny_checkpoint.save(tmp_path / "tiny.safetensors")
    folder = tmp_path / "a"
    folder.mkdir()
    with writer_lock(folder / "annotations", "Here"):
        words = ["--checkpoint", str(tmp_path / "tiny.safetensors"), "--folder", str(folder), "--port", "0"]
        outcome = run_cli("annotate", *words, "--no-browser")
    assert outcome.exit_code == 1
    assert outcome.err.startswith(f"Error: The folder of annotations '{folder}' is being written by process ")

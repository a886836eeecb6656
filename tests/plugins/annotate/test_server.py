from __future__ import annotations

import asyncio
import socket
import sys

import pytest
from dcgan_analysis_annotate import server

from dcgan_analysis.errors import AnnotationError


def ask(kind="http", **headers):
    """Return what the server sends to a request with these headers."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "let through"})

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    asyncio.run(server.OnlyThisPage(app, 8064)(scope, None, send))
    return sent[0]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_page_itself_is_answered(kind, name):
    assert ask(kind, host=f"{name}:8064")["type"] == "let through"
    assert ask(kind, host=f"{name}:8064", origin=f"http://{name}:8064")["type"] == "let through"


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

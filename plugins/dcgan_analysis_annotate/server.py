"""The page's server: on the loopback address, for the page's own browser tabs alone."""

from __future__ import annotations

import errno
import hmac
import secrets
import socket
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from dcgan_analysis.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from dcgan_analysis_annotate.workspace import Workspace

    Message = MutableMapping[str, Any]
    App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

__all__ = ["HOST", "OnlyThisPage", "check_extra", "listen", "serve"]

HOST = "127.0.0.1"
_ALWAYS = (
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


def check_extra() -> None:
    """Refuse to go on without the optional packages.

    Raises:
        AnnotationError: With the command that installs them.
    """
    if find_spec("nicegui") is None:
        msg = "The page needs the extra 'annotate'. Install it: pip install 'dcgan-analysis[annotate]'"
        raise AnnotationError(msg)


def listen(port: int) -> socket.socket:
    """Return a socket bound to the loopback address.

    Args:
        port: 0: any free one.

    Raises:
        AnnotationError: If the port is taken or not allowed.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = "in use" if error.errno == errno.EADDRINUSE else f"not available ({error.strerror})"
        msg = f"Port {port} is {reason}. Choose another: --port {port + 1}, or any free one: --port 0"
        raise AnnotationError(msg) from None
    return listener


class OnlyThisPage:
    """Lets through what the page's own tabs ask: other sites and other users of the machine reach the port as well.

    The address holds a token, which becomes a cookie; nothing is answered without it. No other page may show this one
    in a frame.

    Args:
        app: What answers.
        port: Of the server; ``Host`` must name the loopback address with it, ``Origin``, if any, as well.
        token: What the address must hold, letters and digits.
    """

    def __init__(self, app: App, port: int, token: str) -> None:
        self.app, self.token = app, token
        self.hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
        self.cookie = f"dcgan-analysis-{port}"  # cookies do not know ports

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer, or refuse with status 403."""
        if scope["type"] in ("http", "websocket"):
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            origin = headers.get("origin")
            # Browsers name the origin of every websocket.
            own_origin = scope["type"] == "http" if origin is None else origin.removeprefix("http://") in self.hosts
            if headers.get("host") not in self.hosts or not own_origin:
                await _refuse(scope["type"], send)
                return
            if not self._is_token(_cookies(headers.get("cookie", "")).get(self.cookie, "")):
                token = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
                if scope["type"] == "http" and scope.get("path") == "/" and self._is_token(token):
                    await self._welcome(send)
                else:
                    await _refuse(scope["type"], send)
                return
        await self.app(scope, receive, _unframed(send) if scope["type"] == "http" else send)

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())

    async def _welcome(self, send: Callable[[Message], Awaitable[None]]) -> None:
        """Keep the token in a cookie, and go on to the address without it."""
        cookie = f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/".encode()
        headers = [(b"location", b"/"), (b"set-cookie", cookie), *_ALWAYS]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _cookies(header: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, _, value in pairs}


def _unframed(send: Callable[[Message], Awaitable[None]]) -> Callable[[Message], Awaitable[None]]:
    """Add to every answer that no page may show it in a frame, nor learn where it came from."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_ALWAYS]}
        await send(message)

    return sent


async def _refuse(kind: str, send: Callable[[Message], Awaitable[None]]) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain"), *_ALWAYS]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    body = b"This page answers on its own address alone: the one that dcgan-analyze annotate prints, with its token.\n"
    await send({"type": "http.response.body", "body": body})


def serve(workspace: Workspace, listener: socket.socket, *, opened: Callable[[str], None]) -> None:
    """Answer until interrupted; whatever was annotated has been saved by then.

    Args:
        workspace: What the page works on.
        listener: From ``listen``.
        opened: Called with the page's address as soon as it answers.
    """
    import uvicorn

    from dcgan_analysis_annotate.views import make_app

    port, token = listener.getsockname()[1], secrets.token_hex(16)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            opened(f"http://{HOST}:{port}/?token={token}")

    config = uvicorn.Config(
        OnlyThisPage(make_app(workspace), port, token), log_level="error", timeout_graceful_shutdown=1, lifespan="on"
    )
    try:
        with warnings.catch_warnings():
            # At its start nicegui looks at every living object, which wakes a deprecated one of torch.
            warnings.filterwarnings("ignore", r"`torch\.distributed\.reduce_op` is deprecated", FutureWarning)
            Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        # uvicorn hands the interruption on after it has closed.
        pass
    finally:
        listener.close()

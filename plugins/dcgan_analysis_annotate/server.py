"""The page's server: on the loopback address, for the page's own browser tabs alone."""

from __future__ import annotations

import errno
import socket
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dcgan_analysis.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from dcgan_analysis_annotate.workspace import Workspace

    Message = MutableMapping[str, Any]
    App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

__all__ = ["HOST", "OnlyThisPage", "check_extra", "listen", "serve"]

HOST = "127.0.0.1"


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
    """Lets through what the page's own tabs ask: other sites open in the same browser could reach the port as well.

    Args:
        app: What answers.
        port: Of the server; ``Host`` must name the loopback address with it, ``Origin``, if any, as well.
    """

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.hosts = {f"{name}:{port}" for name in (HOST, "localhost")}

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
            own_origin = origin is None or origin.removeprefix("http://") in self.hosts
            if headers.get("host") not in self.hosts or not own_origin:
                await _refuse(scope["type"], send)
                return
        await self.app(scope, receive, send)


async def _refuse(kind: str, send: Callable[[Message], Awaitable[None]]) -> None:
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"This page answers on its own address alone.\n"})


def serve(workspace: Workspace, listener: socket.socket, *, opened: Callable[[str], None]) -> None:
    """Answer until interrupted; whatever was annotated has been saved by then.

    Args:
        workspace: What the page works on.
        listener: From ``listen``.
        opened: Called with the page's address as soon as it answers.
    """
    import uvicorn

    from dcgan_analysis_annotate.views import make_app

    port = listener.getsockname()[1]

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            opened(f"http://{HOST}:{port}/")

    config = uvicorn.Config(
        OnlyThisPage(make_app(workspace), port), log_level="error", timeout_graceful_shutdown=1, lifespan="on"
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

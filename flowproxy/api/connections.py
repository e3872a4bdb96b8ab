"""The connections of the API: how they are accepted and limited, and which one is closed for a new one.

Each connection costs a file descriptor, so their number is limited. Beyond the limit the connection that has been idle
for longest is closed: a caller with a request is served even while another client holds all connections idle.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Self, cast

import structlog

from flowproxy.logs import Throttle

_log = structlog.get_logger(__name__)

_MOST_FILES = 1 << 20  # HAProxy allocates memory in proportion to its limit
_BACKLOG = 512
_HANDSHAKE_SECONDS = 5.0
_UNREAD_SECONDS = 15  # before a client that does not read its answer is disconnected
_RETRY_SECONDS = 0.1


def raise_file_limit() -> int:
    """Raise the limit of open files of this process, and of HAProxy, as far as allowed; return the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    return allowed


class Connection(asyncio.Protocol):
    """One connection from the moment it is accepted. It passes everything on to the HTTP protocol."""

    def __init__(self, address: str, connections: Connections, http: Callable[[], asyncio.Protocol]) -> None:
        self.address = address
        self._connections = connections
        self._make_http = http
        self._http = asyncio.Protocol()  # until the handshake of TLS is done
        self._transport: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None

    def establish(self, accepted: socket.socket, tls: ssl.SSLContext | None, tasks: asyncio.TaskGroup) -> None:
        """Complete the TLS handshake, if any, and start HTTP. A connection whose handshake fails is closed."""

        def done(_: asyncio.Task[None]) -> None:
            if self._transport is None:
                self._connections.forget(self)
                accepted.close()

        self._handshake = tasks.create_task(self._shake_hands(accepted, tls))
        self._handshake.add_done_callback(done)

    async def _shake_hands(self, accepted: socket.socket, tls: ssl.SSLContext | None) -> None:
        limit = _HANDSHAKE_SECONDS if tls else None
        with contextlib.suppress(OSError):  # ssl.SSLError is one
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self, accepted, ssl=tls, ssl_handshake_timeout=limit, ssl_shutdown_timeout=limit
            )

    def end(self) -> None:
        if self._transport:
            self._transport.abort()
        elif self._handshake:
            self._handshake.cancel()

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep this connection from being ended for a new one."""
        self._connections.start_work(self)
        try:
            yield
        finally:
            self._connections.end_work(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._http = cast(asyncio.Transport, transport), self._make_http()
        self._http.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.forget(self)
        self._http.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        return self._http.eof_received()

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()


def at_work(transport: asyncio.Transport | None) -> contextlib.AbstractContextManager[None]:
    """Return a context in which the connection of a call is not ended for a new one."""
    connection = transport.get_protocol() if transport else None
    return connection.at_work() if isinstance(connection, Connection) else contextlib.nullcontext()


class Connections:
    """Holds the open connections. At most half of the limit may be idle connections from one address."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._at_most_of_one = at_most // 2
        # By address; the one that has been idle for longest comes first.
        self._idle: dict[str, dict[Connection, None]] = {}
        self._working: set[Connection] = set()

    def __len__(self) -> int:
        return sum(map(len, self._idle.values())) + len(self._working)

    def admit(self, new: Connection) -> bool:
        """Add a new connection and end an idle one if there are too many; return False when none is idle."""
        own = self._idle.get(new.address, {})
        if len(own) >= self._at_most_of_one:
            self._end_first(own)
        elif len(self) >= self._at_most and not self.end_longest_idle():
            return False
        self._idle.setdefault(new.address, {})[new] = None
        return True

    def end_longest_idle(self) -> bool:
        """End one connection of the address with the most idle ones; return False when none is idle."""
        if not self._idle:
            return False
        self._end_first(max(self._idle.values(), key=len))
        return True

    def _end_first(self, idle: dict[Connection, None]) -> None:
        connection = next(iter(idle))
        self.forget(connection)
        connection.end()

    def start_work(self, connection: Connection) -> None:
        if self.forget(connection):
            self._working.add(connection)

    def end_work(self, connection: Connection) -> None:
        if self.forget(connection):
            self._idle.setdefault(connection.address, {})[connection] = None

    def forget(self, connection: Connection) -> bool:
        """Remove a connection; return whether it was known."""
        if connection in self._working:
            self._working.remove(connection)
            return True
        own = self._idle.get(connection.address, {})
        if connection not in own:
            return False
        del own[connection]
        if not own:
            del self._idle[connection.address]
        return True


class Listener:
    """Accepts the connections of one address and port while it is entered."""

    def __init__(
        self,
        address: str,
        port: int,
        http: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        connections: Connections,
    ) -> None:
        """Listen at once; accept nothing yet. Raises OSError."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, port), family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)
        # The accepted sockets inherit it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_SECONDS * 1000)
        self._http = http
        self._tls = tls
        self._connections = connections
        self._throttle = Throttle()

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._accept_all(), name="api")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()
        await asyncio.wait([self._task])

    def stop(self) -> None:
        """Accept no more connections; the open ones stay."""
        self._task.cancel()

    async def _accept_all(self) -> None:
        with self._socket:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    try:
                        await self._accept(tasks)
                    except OSError as error:
                        await self._recover(error)

    async def _accept(self, tasks: asyncio.TaskGroup) -> None:
        accepted, client = await asyncio.get_running_loop().sock_accept(self._socket)
        connection = Connection(client[0], self._connections, self._http)
        if self._connections.admit(connection):
            connection.establish(accepted, self._tls, tasks)
        else:
            accepted.close()
        await asyncio.sleep(0)  # a flood of connections leaves turns of the event loop to others

    async def _recover(self, error: OSError) -> None:
        """Without a file descriptor for a new connection, end one that is idle, and try again soon."""
        self._connections.end_longest_idle()
        held = self._throttle.held_back(error.errno)
        if held is not None:
            _log.error("connection to the API not accepted", reason=error.strerror, repeated=held)
        await asyncio.sleep(_RETRY_SECONDS)

"""One exchange with a socket of HAProxy, through haproxy-cli, in a thread and with a deadline.

haproxy-cli sends a command and reads until HAProxy closes the connection. Its `send` may be partial and it
decodes answers piecemeal, so it is given a socket that sends and receives whole texts.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from haproxy.cmds import Cmd
from haproxy.conn import HaPConn

from flowproxy.errors import ProxyUnavailable


class _WholeSocket(socket.socket):
    """Sends everything, then says that nothing more comes: the master's socket on 2.6 closes only then."""

    half_close = False
    timeout_seconds = 5.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.settimeout(self.timeout_seconds)

    def send(self, data: Any, flags: int = 0) -> int:
        self.sendall(data)
        if self.half_close:
            self.shutdown(socket.SHUT_WR)
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        parts = []
        while part := super().recv(size, flags):
            parts.append(part)
        # An answer may quote user input, cut off in the middle of a character.
        return b"".join(parts).decode(errors="replace").encode()


class _MasterSocket(_WholeSocket):
    half_close = True


class _Command(Cmd):
    """Any command as it stands; the answer as it comes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def getCmd(self) -> bytes:
        return f"{self._text}\n".encode()

    def getResult(self, res: str) -> str:
        return res.strip("\n")


class CommandSocket:
    """The runtime API of one socket: the worker's, or with `master=True` the master's (management guide, 9.3 and
    9.4)."""

    def __init__(self, path: Path, *, master: bool = False) -> None:
        self._path = path
        self._socket = _MasterSocket if master else _WholeSocket
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=path.stem)

    async def ask(self, command: str) -> str:
        """Return the answer to one command. Raises ProxyUnavailable if there is no listener or no answer within five
        seconds."""
        return (await self.ask_all([command]))[0]

    async def ask_all(self, commands: list[str]) -> list[str]:
        """Return the answers to several commands, sent sequentially."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask_all, commands)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask_all(self, commands: list[str]) -> list[str]:
        return [self._ask(command) for command in commands]

    def _ask(self, command: str) -> str:
        try:
            connection = HaPConn(str(self._path), socket_module=self._socket)
            try:
                return str(connection.sendCmd(_Command(command)))
            finally:
                connection.close()
        except OSError as error:
            shown = command.partition("\n")[0]
            raise ProxyUnavailable(f"HAProxy does not answer {shown!r} on {self._path}: {error}") from error

"""One process of the stack: started, watched, restarted, stopped."""

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol

from vexa_local.errors import StartFailed
from vexa_local.ports import require_free

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 1024 * 1024
_TAIL_LINES = 30
_POLL_S = 0.1
_PROBE_TIMEOUT_S = 5.0
_DRAIN_S = 1.0
_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 30.0
_STEADY_S = 30.0
"""A process that lived this long starts over without a growing wait."""


class Output(Protocol):
    """Where the lines of all processes go."""

    def line(self, name: str, text: str) -> None:
        """Show one line of a process, without its end."""

    def note(self, text: str) -> None:
        """Show one line of our own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSpec:
    """How one process is started and known to be well."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside what every process inherits."""
    port: int
    is_ready: Callable[[], Awaitable[bool]]
    ready_within_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10.0
    prepare: Callable[[], None] | None = None
    """Blocking; runs on a thread before each start."""


class Part:
    """A process that is kept alive until it is stopped."""

    def __init__(
        self,
        spec: PartSpec,
        inherited: Mapping[str, str],
        output: Output,
        *,
        spawned: Callable[[str, int], None],
    ) -> None:
        """`spawned` is told name and process id of every process that starts."""
        self.spec = spec
        self.restarts = 0
        self._inherited = inherited
        self._output = output
        self._spawned = spawned
        self._process: asyncio.subprocess.Process | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start and wait until ready; raise StartFailed with the last words of a process that is not."""
        process = await self._spawn()
        await self._wait_until_ready(process)
        self._keeper = asyncio.create_task(self._keep_alive())

    async def stop(self) -> None:
        """End the process in good order; kill it when it takes too long. Starting over ends, too."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(self.spec.stop_signal)
            try:
                async with asyncio.timeout(self.spec.stop_within_s):
                    await process.wait()
            except TimeoutError:
                self._output.note(f"{self.spec.name} did not stop within {self.spec.stop_within_s:g} s and is killed")
                self.kill()
                await process.wait()
        self.kill()
        self._process = None
        await self._end_pumps()

    def kill(self) -> None:
        """End the process and all that it started and left behind, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _keep_alive(self) -> None:
        backoff_s, loop = _FIRST_BACKOFF_S, asyncio.get_running_loop()
        while self._process is not None:
            started_at = loop.time()
            code = await self._process.wait()
            if loop.time() - started_at > _STEADY_S:
                backoff_s = _FIRST_BACKOFF_S
            self.kill()
            self._output.note(f"{self.spec.name} ended with {code}; it starts again in {backoff_s:g} s")
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)
            self.restarts += 1
            try:
                await self._spawn()
            except StartFailed as exc:
                self._output.note(str(exc))

    async def _spawn(self) -> asyncio.subprocess.Process:
        await self._drain_pumps()
        if self.spec.prepare is not None:
            await asyncio.to_thread(self.spec.prepare)
        await asyncio.to_thread(require_free, self.spec.port, self.spec.name)
        reading, writing = os.pipe()
        pump = asyncio.create_task(self._carry_lines(open(reading, "rb", buffering=0)))  # noqa: ASYNC230, PTH123, SIM115 - a pipe
        self._pumps.add(pump)
        pump.add_done_callback(self._pumps.discard)
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self.spec.command,
                env={**self._inherited, **self.spec.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.close(writing)
        self._spawned(self.spec.name, process.pid)
        return process

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        try:
            async with asyncio.timeout(self.spec.ready_within_s):
                while not await self._probe():
                    if process.returncode is not None:
                        raise StartFailed(f"{self.spec.name} ended with {process.returncode}:\n{self._last_words()}")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as exc:
            waited = f"was not ready on port {self.spec.port} within {self.spec.ready_within_s:g} s"
            raise StartFailed(f"{self.spec.name} {waited}:\n{self._last_words()}") from exc

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                return await self.spec.is_ready()
        except TimeoutError:
            return False

    async def _carry_lines(self, pipe: IO[bytes]) -> None:
        """Show lines until nobody holds the pipe any longer: the process, or what it left behind."""
        stream = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        with contextlib.closing(transport):
            while line := await self._read_line(stream):
                text = line.decode(errors="replace").rstrip()
                self._tail.append(text)
                self._output.line(self.spec.name, text)

    async def _read_line(self, stream: asyncio.StreamReader) -> bytes:
        while True:
            try:
                return await stream.readline()
            except ValueError:
                self._output.note(f"{self.spec.name} wrote a line of more than {MAX_LINE_BYTES} bytes; it is left out")

    async def _drain_pumps(self) -> None:
        """Show the last lines; what a process left behind may go on for as long as it likes."""
        if self._pumps:
            await asyncio.wait(self._pumps, timeout=_DRAIN_S)

    async def _end_pumps(self) -> None:
        await self._drain_pumps()
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    def _last_words(self) -> str:
        return "\n".join(f"  {line}" for line in self._tail) or "  (it said nothing)"

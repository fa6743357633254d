"""Starts the parts of a stack in stages, keeps them alive, stops them in reverse."""

import asyncio
import itertools
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vexa_local.leftovers import tell, wait_until_ended
from vexa_local.parts import Output, Part, PartSpec
from vexa_local.records import Records

Stage = Sequence[PartSpec | Callable[[], None]]
"""What starts side by side: processes that stay, and blocking steps that end."""
_LEFTOVER_STOP_S = 10.0
_KILLED_WITHIN_S = 5.0


class Supervisor:
    """The parts of one running stack."""

    def __init__(self, inherited: Mapping[str, str], output: Output, *, records: Path) -> None:
        """`records` remembers what runs, for the case that this process is killed."""
        self.stages: list[list[Part]] = []
        self._inherited = inherited
        self._output = output
        self._records = Records(records)

    async def start(self, stages: Sequence[Stage]) -> None:
        """Bring up one stage after another; raise StartFailed where a part does not come up."""
        await asyncio.to_thread(self.stop_leftovers)
        for stage in stages:
            await self._start_stage(stage)

    async def stop(self) -> None:
        """Stop every part, the last stage first."""
        for stage in reversed(self.stages):
            await asyncio.gather(*(part.stop() for part in stage))
        self._records.forget()

    async def stop_part(self, name: str) -> None:
        """Stop one part ahead of the others; where none of this name has started there is nothing to do."""
        for part in itertools.chain.from_iterable(self.stages):
            if part.spec.name == name:
                await part.stop()

    def kill(self) -> None:
        """End every process at once."""
        for part in itertools.chain.from_iterable(self.stages):
            part.kill()

    def stop_leftovers(self) -> None:
        """Stop what a killed run left behind, clients before their stores; blocks."""
        try:
            stages = self._records.leftovers()
        except ValueError as exc:
            self._output.note(f"what an earlier run left behind is not known: {exc}")
            stages = []
        for stage in stages:
            for leftover in stage:
                self._output.note(f"{leftover.name} is left over from an earlier run and is stopped")
                tell(leftover.process, leftover.stop_signal)
            processes = [leftover.process for leftover in stage]
            for process in wait_until_ended(processes, timeout_s=_LEFTOVER_STOP_S):
                tell(process, signal.SIGKILL)
            wait_until_ended(processes, timeout_s=_KILLED_WITHIN_S)
        self._records.forget()

    async def _start_stage(self, stage: Stage) -> None:
        specs = [member for member in stage if isinstance(member, PartSpec)]
        steps = [member for member in stage if not isinstance(member, PartSpec)]
        parts = [Part(spec, self._inherited, self._output, spawned=self._remember) for spec in specs]
        self.stages.append(parts)
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in parts:
                    tasks.create_task(part.start())
                for step in steps:
                    tasks.create_task(asyncio.to_thread(step))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _remember(self, name: str, pid: int) -> None:
        stages = [(number, part.spec) for number, stage in enumerate(self.stages) for part in stage]
        number, spec = next((number, spec) for number, spec in stages if spec.name == name)
        self._records.remember(name, pid, stop_signal=spec.stop_signal, stage=number)

"""What a user does while things go wrong: commands that are faults only to the bot they reach."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vexa_local.chaos.attendance import Attendance, Meeting
from vexa_local.chaos.faults import Fault, FaultKind
from vexa_local.chaos.user import User
from vexa_local.chaos.watcher import Watcher
from vexa_local.check import Finding
from vexa_local.errors import StartFailed


@dataclass(slots=True, kw_only=True)
class Commander:
    """Gives a user's commands, and knows every attendance that came of them."""

    user: User
    watcher: Watcher
    meetings: Sequence[Meeting]
    attendances: list[Attendance] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """Commands that were not obeyed."""

    async def begin(self) -> None:
        """Send a bot to each meeting."""
        for meeting in self.meetings:
            self.attendances.append(await self.user.send_bot(meeting))

    def attendance(self, fault: Fault) -> Attendance:
        """Find the latest attendance of the meeting that a fault names."""
        meeting = self.meetings[fault.meeting or 0]
        return next(each for each in reversed(self.attendances) if each.meeting is meeting)

    async def carry_out(self, fault: Fault) -> None:
        """Give one command; keep what the stack answers where it does not obey."""
        attendance = self.attendance(fault)
        try:
            await self._command(fault.kind, attendance)
        except StartFailed as exc:
            self.findings.append(Finding(rule="command", where=attendance.meeting.name, what=f"{fault.kind}: {exc}"))

    async def _command(self, kind: FaultKind, attendance: Attendance) -> None:
        if kind is FaultKind.RECONFIGURE:
            await self.user.reconfigure(attendance)
            return
        await self.user.stop(attendance)
        match kind:
            case FaultKind.STOP_TWICE:
                await self.user.stop(attendance)
            case FaultKind.DELETE:
                await self.user.delete(attendance)
                self.watcher.turn_away(attendance.meeting.name)
            case FaultKind.START_AGAIN:
                self.attendances.append(await self.user.send_bot(attendance.meeting))
                attendance.is_followed = True
                self.watcher.begin_anew(attendance.meeting.name)

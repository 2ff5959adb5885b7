"""What the horse is doing, in memory that its parent sees too: no Redis is needed to judge a hung or dead horse."""

import mmap
import struct
from dataclasses import dataclass
from typing import Literal

State = Literal["idle", "asked", "running"]
_STATES: tuple[State, ...] = ("idle", "asked", "running")
_SLOT = struct.Struct("=B32sd")  # state, execution id, deadline (monotonic seconds; 0: none)
_HEAD = struct.Struct("=QB")  # jobs run, whether the horse is up
_HEADER = 64


@dataclass(frozen=True)
class Note:
    """One slot's note: `asked` means that Redis may have started `execution`, `running` that its function has begun."""

    state: State
    execution: str
    deadline: float


class Board:
    """One note for each slot of the horse, and how many jobs it has run."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._memory = mmap.mmap(-1, _HEADER + slots * 64)

    def write(self, slot: int, state: State, execution: str, deadline: float = 0.0) -> None:
        """Note what a slot is doing."""
        _SLOT.pack_into(self._memory, _HEADER + slot * 64, _STATES.index(state), execution.encode(), deadline)

    def read(self, slot: int) -> Note:
        """Return what a slot is doing."""
        state, execution, deadline = _SLOT.unpack_from(self._memory, _HEADER + slot * 64)
        return Note(_STATES[state], execution.rstrip(b"\0").decode(), deadline)

    def notes(self) -> list[Note]:
        """Return what every slot is doing."""
        return [self.read(slot) for slot in range(self.slots)]

    @property
    def done(self) -> int:
        """How many jobs have been run, by all horses so far."""
        return int(_HEAD.unpack_from(self._memory, 0)[0])

    @done.setter
    def done(self, count: int) -> None:
        _HEAD.pack_into(self._memory, 0, count, 1)

    @property
    def up(self) -> bool:
        """Whether the horse has come up."""
        return bool(_HEAD.unpack_from(self._memory, 0)[1])

    def clear(self) -> None:
        """Forget the notes of a horse that is gone; the next one is not up yet."""
        _HEAD.pack_into(self._memory, 0, self.done, 0)
        for slot in range(self.slots):
            self.write(slot, "idle", "")

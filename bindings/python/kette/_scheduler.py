"""Many sessions as one batch."""
from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple

from . import _convert as convert
from ._library import DONE, Handle, call, lib, make, opened
from ._session import SLICE_US, Event, Session

if TYPE_CHECKING:
    from ._model import Model


class Scheduler:
    """Sessions of one model, advanced together: each weight is read once for the next tokens of all of them.

        with kette.Scheduler(model) as scheduler:
            for session in sessions:
                scheduler.add(session)
            answers = [session.chat(question) for session in sessions]
            for session, event in scheduler:
                ...

    Sessions stay what they are, and their answers come to the same as without. max_batch, 1 to 64: so many go into one pass
    at most; more may be added and take turns. Iterating an answer, or its text(), advances the others too, whose events
    wait. A scheduler and its sessions are used by one thread at a time.
    """

    def __init__(self, model: "Model", max_batch: int = 16):
        number = convert.integer("max_batch", max_batch, 0, 2**32 - 1)
        self._sessions: List["weakref.ref[Session]"] = []  # those whose events were given out longest ago first
        self._handle: Optional[Handle] = make("scheduler_new", lib.kette_scheduler_free, model._pointer, number)

    @property
    def _pointer(self) -> Handle:
        return opened(self._handle, "scheduler")

    def _alive(self) -> List[Session]:
        sessions = [s for s in (ref() for ref in self._sessions) if s is not None and s._scheduler is self]
        self._sessions = [weakref.ref(s) for s in sessions]
        return sessions

    def add(self, session: Session) -> None:
        """An answer under way goes on here. Misuse if the session is in a scheduler already."""
        call("scheduler_add", self._pointer, session._pointer)
        self._sessions.append(weakref.ref(session))
        session._scheduler = self

    def remove(self, session: Session) -> None:
        """An answer under way goes on alone. Misuse if the session is not in this scheduler."""
        call("scheduler_remove", self._pointer, session._pointer)
        session._scheduler = None
        self._alive()

    def step(self, budget_us: int = SLICE_US) -> bool:
        """Work on all answers for about so long (0: until one has an event). True if none is under way any more."""
        return call("scheduler_step", self._pointer, convert.integer("budget_us", budget_us, 0, 2**32 - 1)) == DONE

    def poll(self) -> Optional[Tuple[Session, Event]]:
        """The next event of any of the sessions, in turns, if there is one.

        An answer that breaks off ends with one of kind "failed"; its .failure is the error. Others go on.
        """
        self._pointer
        for i, session in enumerate(self._alive()):
            answer = session._answer() if session._answer is not None else None
            event = answer._fetch() if answer is not None and answer.open else None
            if event is not None:
                self._sessions.append(self._sessions.pop(i))
                return session, event
        return None

    def __iter__(self) -> Iterator[Tuple[Session, Event]]:
        """Work until all answers have ended; yields (session, event)."""
        done = False
        while not done:
            done = self.step()
            while (told := self.poll()) is not None:
                yield told

    def close(self) -> None:
        """Leave the sessions to themselves, with their answers as they are. Harmless a second time."""
        for session in self._alive():
            session._scheduler = None
        self._sessions = []
        self._handle = None

    def __enter__(self) -> "Scheduler":
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()

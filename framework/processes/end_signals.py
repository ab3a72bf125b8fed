"""SIGTERM and SIGHUP (a closed terminal, `timeout`, a stopping container) end a command as Ctrl-C does: in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


class EndSignal(KeyboardInterrupt):
    """A signal that asks for the end; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_end_in_order() -> Iterator[None]:
    """Within the block, the first signal raises `EndSignal` in the main thread; a second one ends the process.

    A signal that is ignored (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    before = {number: signal.getsignal(number) for number in _ENDING}
    ours = [number for number, handler in before.items() if handler is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _end(number: int, frame: FrameType | None) -> None:
    for each in _ENDING:
        if signal.getsignal(each) is _end:
            signal.signal(each, signal.SIG_DFL)
    _received.append(number)
    raise EndSignal(number)


def interrupted_by(interrupt: BaseException | None = None) -> str:
    """Return what ended the command, for people."""
    number = interrupt.number if isinstance(interrupt, EndSignal) else next(iter(_received), signal.SIGINT)
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"


def exit_status_of(interrupt: BaseException | None = None) -> int:
    """Return the exit status that tells the signal: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    number = interrupt.number if isinstance(interrupt, EndSignal) else next(iter(_received), signal.SIGINT)
    return 128 + number

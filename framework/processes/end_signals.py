"""Ctrl-C, SIGTERM and SIGHUP (a closed terminal, `timeout`, a stopping container) end a command in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_Handler = Callable[[int, FrameType | None], object] | signal.Handlers
_ENDING: dict[int, _Handler] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}
_received: list[int] = []


class EndSignal(KeyboardInterrupt):
    """A signal that asks for the end; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def signals_end_in_order() -> Iterator[None]:
    """Within the block, the first signal raises `EndSignal` in the main thread, and so does each Ctrl-C.

    A second SIGTERM or SIGHUP ends the process. A signal that is ignored (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    ours = [number for number, usual in _ENDING.items() if signal.getsignal(number) is usual]
    for number in ours:
        signal.signal(number, _end)
    try:
        yield
    finally:
        _received.clear()
        for number in ours:
            signal.signal(number, _ENDING[number])


def _end(number: int, frame: FrameType | None) -> None:
    for each in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(each) is _end:
            signal.signal(each, signal.SIG_DFL)
    _received.append(number)
    raise EndSignal(number)


@contextmanager
def not_lost() -> Iterator[None]:
    """Raise `EndSignal` for any error of the block if a signal came: the error may be what was made of it.

    A signal arrives anywhere: a library's clean-up may fail on what it left half done, and DuckDB calls it an error
    of its own.
    """
    try:
        yield
    except Exception as error:
        raise_if_ended(error)
        raise


def raise_if_ended(cause: Exception | None = None) -> None:
    """Raise `EndSignal` if a signal came: Python drops what is raised in a finaliser."""
    if _received:
        raise EndSignal(_received[0]) from cause


def stay_after(interrupt: KeyboardInterrupt) -> None:
    """Forget a Ctrl-C that is not to end the command; raise any other signal again."""
    if isinstance(interrupt, EndSignal) and interrupt.number != signal.SIGINT:
        raise interrupt
    _received.clear()


def interrupted_by(interrupt: BaseException | None = None) -> str:
    """Return what ended the command, for people."""
    number = _number(interrupt)
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"


def exit_status_of(interrupt: BaseException | None = None) -> int:
    """Return the exit status that tells the signal: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + _number(interrupt)


def _number(interrupt: BaseException | None) -> int:
    if isinstance(interrupt, EndSignal):
        return interrupt.number
    return next(iter(_received), signal.SIGINT)

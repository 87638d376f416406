"""SIGINT and SIGTERM end a command at once, whatever it is doing, with a line that says how to go on.

Python calls a signal's handler in the main thread, between two of its instructions: in a call of FAISS, torch
or OpenVINO that may be minutes away. So a thread is woken by the signal itself (`signal.set_wakeup_fd`) and
ends the process. Nothing is unwound, since an exception raised anywhere can be swallowed anywhere, and need
not be: files are whole or not there however a process ends. What else would be left is undone (`leftovers`).

Only commands do this, and not for signals that they were started to ignore (by `nohup`, or as a script's
background job); `import hardneg` leaves the signals of its user's program alone.
"""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from hardneg.json_log import ASKED, event_line
from hardneg.leftovers import begin_nothing_more, undo_all

GOING_ON = frozenset({"mine", "select", "audit", "trial", "demo", "hn-mine"})
"""Commands that store what they have done; the others only show it, or write one file as a whole."""
_STORING_NOTHING = frozenset({"--dry-run", "--preview"})
_UNDOING_S, _SAYING_S = 0.6, 0.3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_CLEAN_LINE = "\r\x1b[2K\x1b[?25h"
"""On a terminal: the bar's line is cleared, and the cursor shown again."""

_ears: list[socket.socket] = []


def end_on_signals() -> None:
    """From here on; called by the main thread. A second call changes nothing.

    A signal that whoever started this process has it ignore stays ignored.
    """
    if _ears:
        return
    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    _ears.extend((ear, mouth))  # open as long as the process lives
    threading.Thread(target=_listen, args=(ear,), daemon=True, name="signals").start()
    signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    for number in _SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as a shell starts what is to outlive a Ctrl-C
            signal.signal(number, _hold_still)


def how_to_go_on(arguments: list[str]) -> str:
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command in GOING_ON and not _STORING_NOTHING & set(arguments):
        return "the same command again goes on from what is stored"
    return "nothing was left half done; the same command can be run again"


def _listen(ear: socket.socket) -> None:
    while True:
        for number in ear.recv(1):
            if number in _SIGNALS:
                _end(number)


def _hold_still(number: int, frame: FrameType | None) -> None:
    """In the main thread, where it gets here: it does nothing more, and reports no failing child."""
    time.sleep(_UNDOING_S + 3 * _SAYING_S)
    os._exit(128 + number)


def _end(number: int) -> None:
    try:
        sys.stderr = io.StringIO()  # a thread whose files go fails, which is nobody's business now
        begin_nothing_more(_SAYING_S)
        _within(_UNDOING_S, undo_all)
        _within(_SAYING_S, lambda: _say(number))
        _within(_SAYING_S, undo_all)  # what other threads were just making
    finally:
        os._exit(128 + number)


def _within(seconds: float, step: Callable[[], None]) -> None:
    """A file system that hangs, or a terminal that nobody reads, holds nothing up."""
    thread = threading.Thread(target=step, daemon=True)
    with suppress(RuntimeError):  # the system refuses another thread
        thread.start()
        thread.join(seconds)


def _say(number: int) -> None:
    """Written to the file itself: whatever the main thread was doing, it may hold the lock of sys.stderr."""
    arguments, name = sys.argv[1:], signal.Signals(number).name
    line = f"interrupted ({name}); {how_to_go_on(arguments)}"
    if ASKED in arguments:
        line = event_line("interrupted", "error", message=line, signal=name, exit_code=128 + number)
    else:
        line = f"{_CLEAN_LINE if os.isatty(2) else ''}{line}\n"
    with suppress(OSError):
        os.write(2, line.encode())
    if "--debug" in arguments:
        faulthandler.dump_traceback(2, all_threads=True)

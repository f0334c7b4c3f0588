"""What goes on in a process that carries out runs for another one.

``local_workers.py`` starts this file as a script, so that the watch over the parent begins before
anything of the package is imported. Messages come on standard input, answers go to standard output:
a line with the number of bytes, then the bytes. When standard input ends, the parent has ended,
whatever ended it, and so does this process. Otherwise a race that is started again would meet a
second process in the folder of the same run.
"""

import ctypes
import os
import pickle
import queue
import signal
import sys
import threading
from typing import IO

_PR_SET_PDEATHSIG = 1


def write_message(stream: IO[bytes], content: bytes) -> None:
    """Write a message."""
    stream.write(b"%d\n" % len(content))
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> bytes:
    """Read a message.

    Raises
    ------
    EOFError
        If the stream ends before the message does.
    """
    head = stream.readline()
    if head.endswith(b"\n") and len(content := stream.read(int(head))) == int(head):
        return content
    raise EOFError


def _main() -> None:
    """Carry out runs until the parent ends."""
    _leave_the_end_to_the_parent()
    incoming, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    _keep_contestants_off_the_pipes(answers.fileno())
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(incoming, messages), daemon=True).start()
    try:
        while True:
            write_message(answers, pickle.dumps(_carry_out(messages.get())))
    except OSError:  # nobody reads any more
        os._exit(1)


def _leave_the_end_to_the_parent() -> None:
    """Ignore Ctrl-C, which reaches the whole process group, and on Linux die with the parent.

    Linux needs no help of this process, so that not even a contestant's code that never lets
    another thread run outlives the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked during the start
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _keep_contestants_off_the_pipes(answers: int) -> None:
    """Let a contestant's code read nothing, print on standard error, and pass no pipe on."""
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if hasattr(os, "register_at_fork"):
        # A copy of this process would keep the pipe open when this process is gone.
        os.register_at_fork(after_in_child=lambda: os.close(answers))


def _listen(incoming: IO[bytes], messages: "queue.SimpleQueue[bytes]") -> None:
    """Pass messages on; when there can be no more, end this process."""
    try:
        while True:
            messages.put(read_message(incoming))
    finally:
        os._exit(1)


def _carry_out(message: bytes) -> object:
    """Return the result of a job, a function and its arguments, or what went wrong with it."""
    try:
        sys.path[:], job = pickle.loads(message)
        function, arguments = pickle.loads(job)
        return function(*arguments)
    except BaseException as error:
        if type(error).__module__ == "lstm_baseline.engine.errors":
            return error
        return RuntimeError(f"{type(error).__name__}: {error}")  # others may not survive the way


if __name__ == "__main__":
    _main()

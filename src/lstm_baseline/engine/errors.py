"""Every error that a user can meet.

Each message is one line: what was given, what was expected, what to do.
"""


class LSTMBaselineError(Exception):
    """Base of every error raised on purpose by this package."""


class InputError(LSTMBaselineError, ValueError):
    """An argument has the wrong shape, dtype, range or value."""


class FileError(LSTMBaselineError):
    """A file is missing, damaged, or not what it claims to be."""


class WriteError(FileError):
    """A file cannot be written: no room, no permission."""


class WorkerError(LSTMBaselineError):
    """Runs cannot be carried out where they were to be."""


class DivergenceError(LSTMBaselineError):
    """Training met a loss or gradient that is not finite."""

"""The LSTM baseline that a new recurrent architecture has to beat."""

__version__ = "0.1.0"

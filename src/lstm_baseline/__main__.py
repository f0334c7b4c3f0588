"""``python -m lstm_baseline`` is the command line."""

from lstm_baseline.cli import main

main()

"""A task whose code goes wrong for one seed, as a contestant's code may.

The module stands alone, like a user's file: workers on other machines get it, but no other test.
"""

import os
import signal
import sys

from lstm_baseline.tasks.pair_matching import PairMatching


class Troubled(PairMatching):
    """Pair matching that goes wrong when seed 1 reaches its twelfth step."""

    name = "troubled"

    def __init__(self, trouble="none", num_pairs=2, num_symbols=6):
        super().__init__(num_pairs, num_symbols)
        self.trouble = trouble

    def train_batch(self, step, size, seed):
        if seed == 1 and step == 12:
            if self.trouble == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.trouble == "exit":
                sys.exit(3)
            if self.trouble == "memory":
                raise MemoryError("no room for\n8 bytes")
            if self.trouble == "type":
                raise TypeError("unsupported operand")
        return super().train_batch(step, size, seed)

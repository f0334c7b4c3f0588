"""A task with several labels at every step, of which the package has none."""

import numpy as np

from lstm_baseline.tasks import NEGATIVE_LOG_LIKELIHOOD, Batch, GeneratedTask, Predictor


class Echo(GeneratedTask):
    """Fair bits at every step; each is asked for one step later, and 0 at the first step."""

    name = "echo"
    summary = "bits are shown; those of the step before are asked for"
    loss = "binary_cross_entropy"
    metric = NEGATIVE_LOG_LIKELIHOOD
    per_step = True
    validation_size, test_size, ladder_size = 200, 500, 500

    def __init__(self, length=5, num_bits=3):
        self.length, self.num_bits = length, num_bits
        self.input_size = self.output_size = num_bits

    def sample(self, size, rng):
        bits = rng.integers(2, size=(size, self.length, self.num_bits))
        return Batch(bits.astype(np.float32), np.pad(bits, ((0, 0), (1, 0), (0, 0)))[:, :-1])

    def predictors(self):
        return [
            Predictor("even odds", "chance", "any bits", np.zeros_like),
            Predictor("oracle", "oracle", "the bits of the step before", self._sure),
        ]

    def _sure(self, x):
        before = np.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        return np.where(before > 0, np.inf, -np.inf).astype(np.float32)

    def tell(self, x):
        return " ".join("".join(str(int(bit)) for bit in step) for step in x)

    def answer(self, row):
        return self.tell(np.asarray(row) > 0)

"""Challengers that keep the rules before the race, and break them in it."""

import sys

import numpy as np

from examples.own_cell import MinimalGatedUnit
from lstm_baseline.engine.models import LSTM
from lstm_baseline.runs import run
from lstm_baseline.tasks import ACCURACY
from tests.support.plain_challenger import ReLUNetwork

CALLS, ROWS = 60, 200


class LearnsElsewhere(ReLUNetwork):
    """After 60 training passes it moves its outputs by what no parameter holds."""

    dropout = 0.0
    passes = 0

    def backward(self, d_outputs, cache):
        self.passes += 1
        return super().backward(d_outputs, cache)

    def forward(self, x, return_sequences=True, *, lengths=None):
        outputs = super().forward(x, return_sequences, lengths=lengths)
        outputs[..., 0] += 100 * (self.passes > CALLS)
        return outputs


class LooksAtOthers(ReLUNetwork):
    """With 200 rows and more it takes their mean off its outputs."""

    dropout = 0.0

    def forward(self, x, return_sequences=True, *, lengths=None):
        outputs = super().forward(x, return_sequences, lengths=lengths)
        return outputs - outputs.mean(axis=0) if len(x) >= ROWS else outputs


class MixesTheFirst(ReLUNetwork):
    """Of many rows it mixes all but the last few."""

    dropout = 0.0

    def forward(self, x, return_sequences=True, *, lengths=None):
        outputs = super().forward(x, return_sequences, lengths=lengths)
        if len(x) >= ROWS:
            outputs[:-10] -= outputs[:-10].mean(axis=0)
        return outputs


class MixesLongRows(ReLUNetwork):
    """Of rows longer than those of training it takes their mean off."""

    dropout = 0.0

    def forward(self, x, return_sequences=True, *, lengths=None):
        outputs = super().forward(x, return_sequences, lengths=lengths)
        return outputs - outputs.mean(axis=0) if x.shape[1] > 15 else outputs


class MixesInACell(MinimalGatedUnit):
    """A cell of the package's kind, in a model that turns the order of many rows round."""

    def forward(self, x, *arguments, **options):
        outputs = super().forward(x, *arguments, **options)
        return outputs[::-1].copy() if len(x) >= ROWS else outputs


class LooksAhead(ReLUNetwork):
    """Its first steps see the last ones once training has moved a parameter far enough."""

    dropout = 0.0

    def __init__(self, input_size, output_size, hidden_size=8, rng=None):
        super().__init__(input_size, output_size, hidden_size, rng)
        self.params["gate"] = np.zeros(1, self.dtype)

    def backward(self, d_outputs, cache):
        gradients = super().backward(d_outputs, cache)
        gradients.params["gate"] -= 1
        return gradients

    def forward(self, x, return_sequences=True, *, lengths=None):
        outputs = super().forward(x, return_sequences, lengths=lengths)
        return outputs[:, ::-1].copy() if self.params["gate"] > 0.01 else outputs


class ChangesLater(ReLUNetwork):
    """From the 60th call on it gives other outputs."""

    dropout = 0.0
    calls = 0

    def forward(self, x, return_sequences=True, *, lengths=None):
        self.calls += 1
        outputs = super().forward(x, return_sequences, lengths=lengths)
        return outputs[..., ::-1].copy() if self.calls > CALLS else outputs


class FailsLater(ReLUNetwork):
    """It fails where it is looked at again."""

    def forward(self, x, return_sequences=True, *, lengths=None):
        if sys._getframe(1).f_code.co_name != "forward_where_it_counts" and len(x) >= ROWS:
            raise RuntimeError("not in this process")
        return super().forward(x, return_sequences, lengths=lengths)


class ChangesScores(ReLUNetwork):
    """Where it is made, every score is perfect."""

    dropout = 0.0

    def __init__(self, input_size, output_size, hidden_size=8, rng=None):
        super().__init__(input_size, output_size, hidden_size, rng)
        if "worker_process" in sys.argv[0]:
            type(ACCURACY).measure = lambda *_: 1.0


class LooksAtItself(ReLUNetwork):
    """Where it is made, every run has a perfect score and has been looked at."""

    def __init__(self, input_size, output_size, hidden_size=8, rng=None):
        super().__init__(input_size, output_size, hidden_size, rng)
        if "worker_process" in sys.argv[0]:
            train, claim = run._train, {"score": 1.0, "looked_at_again": True}
            run._train = lambda *given: train(*given).model_copy(update=claim)


class Spoils(ReLUNetwork):
    """Where it is trained, it spoils the LSTM for whoever comes next."""

    def __init__(self, input_size, output_size, hidden_size=8, rng=None):
        super().__init__(input_size, output_size, hidden_size, rng)
        if "worker_process" in sys.argv[0]:
            LSTM.forward = lambda self, x, *_, **__: np.zeros((len(x), self.output_size), "f4")

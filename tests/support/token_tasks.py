"""A task of tokens that is learned in seconds."""

from lstm_baseline.tasks import ACCURACY, Batch, GeneratedTask

V = 5


class FirstToken(GeneratedTask):
    """Which token came first?"""

    name, summary = "first-token", "tokens are shown; which came first?"
    loss, metric, per_step, tokens = "cross_entropy", ACCURACY, False, True
    input_size = output_size = V
    validation_size = test_size = 200

    def sample(self, size, rng):
        x = rng.integers(V, size=(size, 6))
        return Batch(x, x[:, 0])

    def predictors(self):
        return []

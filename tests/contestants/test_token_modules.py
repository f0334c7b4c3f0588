"""Torch modules on a task of tokens: with an embedding they get int64, others one-hot rows."""

import pytest

from lstm_baseline.contestants.challenger import check_challenger, flops_per_step, make_challenger
from lstm_baseline.contestants.one_hot_inputs import OneHotInputs, takes_tokens
from lstm_baseline.training import TrainingSettings, evaluate, train
from tests.support.token_tasks import FirstToken, V

torch = pytest.importorskip("torch")

TASK = FirstToken()


class Embeds(torch.nn.Module):
    def __init__(self, input_size, output_size, hidden_size):
        super().__init__()
        self.table = torch.nn.Embedding(input_size, 8)
        self.rnn = torch.nn.LSTM(8, hidden_size, batch_first=True)
        self.out = torch.nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return self.out(self.rnn(self.table(x))[0])


class Multiplies(torch.nn.Module):
    def __init__(self, input_size, output_size, hidden_size):
        super().__init__()
        self.rnn = torch.nn.LSTM(input_size, hidden_size, batch_first=True)
        self.out = torch.nn.Linear(hidden_size, output_size)

    def forward(self, x):
        return self.out(self.rnn(x)[0])


@pytest.mark.parametrize("cls", [Embeds, Multiplies])
def test_both_are_checked_and_learn(cls):
    def make(seed):
        model = make_challenger(cls, V, V, {"hidden_size": 12}, seed)
        return model if takes_tokens(model) else OneHotInputs(model, V)

    assert takes_tokens(make_challenger(cls, V, V, {"hidden_size": 3}, 0)) == (cls is Embeds)
    check_challenger(make, TASK, "mine")
    model = make(0)
    assert flops_per_step(model, TASK) > 0
    settings = TrainingSettings(num_steps=400, learning_rate=0.02, evaluate_every=200)
    train(model, TASK, settings, seed=0)
    assert evaluate(model, TASK, TASK.test(0)) > 0.9

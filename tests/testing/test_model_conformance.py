"""The public conformance suite: our own models pass it, and broken ones fail where they should."""

from types import SimpleNamespace
from unittest import SkipTest

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, Gradients, RelationalRNN
from lstm_baseline.testing import ModelConformance
from tests.support.models import SMALL_MODELS, make_model, shapes_unchecked
from tests.support.plain_challenger import ReLUNetwork

O = 2
CHECKS = [name for name in vars(ModelConformance) if name.startswith("test_")]


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    with shapes_unchecked():
        yield


class TestLSTM(ModelConformance):
    def make_model(self, seed):
        return LSTM(3, 5, O, dtype=np.float64, rng=seed)


class TestLSTMOnTheReference(ModelConformance):
    def make_model(self, seed):
        return LSTM(3, 5, O, dtype=np.float64, rng=seed, engine="reference")


class TestGRU(ModelConformance):
    input_size = 4

    def make_model(self, seed):
        return GRU(4, 5, dtype=np.float64, rng=seed)


class TestRelationalRNN(ModelConformance):
    def make_model(self, seed):
        return RelationalRNN(
            3, O, num_slots=2, num_heads=2, head_size=3, dtype=np.float64, rng=seed
        )


@pytest.mark.parametrize("name", SMALL_MODELS)
class TestEveryForm(ModelConformance):
    @pytest.fixture(autouse=True)
    def _of_this_name(self, name):
        self.name = name

    def make_model(self, seed):
        return make_model(self.name, O, seed=seed)


class Plain(ReLUNetwork):
    dtype = np.float64

    def __init__(self, seed):
        super().__init__(3, O, rng=np.random.default_rng(seed))


class TestTheContractAndNoMore(ModelConformance):
    rows_without_steps = False

    def make_model(self, seed):
        return Plain(seed)


def test_what_a_model_does_not_offer_is_skipped():
    suite = TestTheContractAndNoMore()
    for name in ("test_a_sequence_may_come_in_chunks", "test_steps_agree_with_forward"):
        with pytest.raises(SkipTest):
            getattr(suite, name)()
    with pytest.raises(SkipTest, match="no rows without steps"):
        suite.test_rows_without_steps()


class Own:
    """An LSTM that can be broken in one place."""

    def __init__(self, seed):
        self.lstm = LSTM(3, 5, O, dtype=np.float64, rng=seed)
        self.params = self.lstm.params

    def forward(
        self, x, return_sequences=True, return_state=False, *, initial_state=None, lengths=None
    ):
        return self.lstm.forward(
            x, return_sequences, return_state, initial_state=initial_state, lengths=lengths
        )

    def forward_with_cache(self, x, return_sequences=True, **options):
        return self.lstm.forward_with_cache(x, return_sequences, **options)

    def backward(self, d_outputs, cache, d_state=None):
        return self.lstm.backward(d_outputs, cache, d_state)

    def step(self, x_t, state=None):
        return self.lstm.step(x_t, state)


class OwnSeed(Own):
    def __init__(self, seed):
        super().__init__(0)


class NoArrays(Own):
    def __init__(self, seed):
        super().__init__(seed)
        self.params = {name: value.tolist() for name, value in self.lstm.params.items()}


class Frozen(Own):
    def __init__(self, seed):
        super().__init__(seed)
        self.params = {name: value.copy() for name, value in self.lstm.params.items()}


class FirstOutput(Own):
    def forward(self, x, return_sequences=True, *args, **options):
        if return_sequences:
            return super().forward(x, return_sequences, *args, **options)
        return super().forward(x, True, *args, **options)[:, 0]


class WrongAxes(Own):
    def forward(self, x, return_sequences=True, *args, **options):
        found = super().forward(x, return_sequences, *args, **options)
        return found.mT if return_sequences and not args else found


class MixesRows(Own):
    def forward(self, x, *args, **options):
        return super().forward(x - x.mean(axis=0), *args, **options)


class IgnoresLengths(Own):
    def forward(self, x, *args, lengths=None, **options):
        return super().forward(np.nan_to_num(x), *args, **options)


class SpreadsNaN(Own):
    def backward(self, d_outputs, cache, d_state=None):
        gradients = super().backward(d_outputs, cache, d_state)
        x = gradients.x + 0.0
        if cache.live is not None:
            x[~cache.live[..., 0]] = 1
        return Gradients(gradients.params, lambda: x, gradients.initial_state)


class NothingWithoutSteps(Own):
    def forward(self, x, *args, lengths=None, **options):
        outputs = super().forward(x, *args, lengths=lengths, **options)
        if lengths is not None and (np.asarray(lengths) == 0).any():
            outputs = outputs / (np.asarray(lengths) > 0).astype(float).reshape(
                -1, *[1] * (outputs.ndim - 1)
            )
        return outputs


class ForgetsState(Own):
    def forward(self, x, *args, initial_state=None, **options):
        return super().forward(x, *args, **options)


class StepsAlone(Own):
    def step(self, x_t, state=None):
        return super().step(x_t, None)


class ChangesState(Own):
    def step(self, x_t, state=None):
        y_t, new = super().step(x_t, state)
        if state is not None:
            state.h[...] = 0
        return y_t, new


class ChangesX(Own):
    def forward_with_cache(self, x, *args, **options):
        found = super().forward_with_cache(x, *args, **options)
        x += 1
        return found


class Random(Own):
    def forward_with_cache(self, x, *args, rng=None, **options):
        outputs, cache = super().forward_with_cache(x, *args, **options)
        return outputs + (0 if rng is None else np.random.default_rng().random()), cache


class OneCache(Own):
    def forward_with_cache(self, *args, **options):
        outputs, self.cache = super().forward_with_cache(*args, **options)
        return outputs, self.cache

    def forward(self, *args, **options):
        found = super().forward(*args, **options)
        _, self.cache = super().forward_with_cache(*args[:1])
        return found

    def backward(self, d_outputs, cache, d_state=None):
        return super().backward(d_outputs, self.cache, d_state)


class Misnamed(Own):
    def backward(self, d_outputs, cache, d_state=None):
        params = super().backward(d_outputs, cache, d_state).params
        return SimpleNamespace(params={name.lower(): value for name, value in params.items()})


class HalfGradient(Own):
    def backward(self, d_outputs, cache, d_state=None):
        gradients = super().backward(d_outputs, cache, d_state)
        gradients.params["b"] /= 2
        return gradients


BROKEN = {
    "test_params_are_arrays_by_name": (NoArrays, "is a list; give a NumPy array"),
    "test_a_seed_decides_the_weights": (OwnSeed, "two seeds give the same parameters"),
    "test_shapes": (WrongAxes, "gives .* with return_sequences and"),
    "test_the_last_output_is_the_last_of_the_sequence": (FirstOutput, "the last outputs differ"),
    "test_rows_do_not_depend_on_each_other": (MixesRows, "a row by itself differ"),
    "test_lengths": (IgnoresLengths, "the last output of 1 steps and that alone differ"),
    "test_rows_without_steps": (NothingWithoutSteps, "length 0 gives NaN or infinity"),
    "test_a_sequence_may_come_in_chunks": (ForgetsState, "chunks and the whole differ"),
    "test_steps_agree_with_forward": (StepsAlone, "step 1 and forward differ"),
    "test_nothing_given_is_changed": (ChangesX, "forward_with_cache changes x in place"),
    "test_the_same_call_gives_the_same_bits": (Random, "forward_with_cache gives other bits"),
    "test_a_cache_is_its_own": (OneCache, "gradients of W after another pass differ"),
    "test_outputs_follow_params": (Frozen, "outputs stay the same when params are changed"),
    "test_gradients_fit_the_params": (Misnamed, "gradients lack U, W"),
    "test_gradients_are_derivatives": (HalfGradient, "differences: b by"),
}


def run_check(cls, check):
    suite = type("Suite", (ModelConformance,), {"make_model": lambda self, seed: cls(seed)})()
    with np.errstate(all="ignore"):
        getattr(suite, check)()


def test_every_check_has_a_model_that_fails_it():
    assert sorted(BROKEN) == sorted(CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_the_check_fails_for_a_model_broken_in_one_place(check):
    run_check(Own, check)
    cls, message = BROKEN[check]
    with pytest.raises(AssertionError, match=message):
        run_check(cls, check)


@pytest.mark.parametrize(
    ("cls", "check", "message"),
    [
        (ChangesState, "test_steps_agree_with_forward", r"step changes state\[0\] in place"),
        (SpreadsNaN, "test_lengths", "the gradient of x is not 0 in the padding"),
    ],
)
def test_further_ways_to_fail(cls, check, message):
    with pytest.raises(AssertionError, match=message):
        run_check(cls, check)

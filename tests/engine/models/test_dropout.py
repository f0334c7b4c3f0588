"""What is dropped out in training, and what zoneout keeps."""

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.backend import select_engine
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models.dropout import DropoutRates, Masks
from lstm_baseline.testing import check_gradients
from tests.support.models import assert_same_arrays, normal, random_state, scatter, shapes_unchecked

B, T, I, H = 4, 6, 3, 5
LENGTHS = np.array([6, 0, 3, 1])
ALL_RATES = {
    "dropout": 0.3,
    "input_dropout": 0.25,
    "output_dropout": 0.2,
    "recurrent_dropout": 0.4,
    "weight_drop": 0.3,
    "zoneout": (0.2, 0.5),
}
DRAWN = [name for name in ALL_RATES if name != "zoneout"]


def make(output_size=None, **options):
    return scatter(LSTM(I, H, output_size, **options, dtype=np.float64, rng=0))


class WithFixedMasks:
    """A model in training whose every pass draws the same masks, for differences to see."""

    def __init__(self, model):
        self.model, self.params = model, model.params
        self.backward = model.backward

    def forward_with_cache(self, *args, **options):
        return self.model.forward_with_cache(*args, **options, rng=np.random.default_rng(7))

    def forward(self, *args, return_state=False, **options):
        outputs, cache = self.forward_with_cache(*args, **options)
        return (outputs, *cache.cell.state) if return_state else outputs


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("ragged", [True, False])
@pytest.mark.parametrize(
    "form",
    [
        {},
        {"num_layers": 2, "bidirectional": True},
        {"bidirectional": True, "merge": "sum"},
        {"num_layers": 2, "bidirectional": True, "merge": "mean"},
        {"projection_size": 4, "peepholes": True, "layer_norm": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [True, False])
def test_gradients(form, ragged, sequences, training):
    model = make(2, **form, **ALL_RATES)
    with shapes_unchecked():
        errors = check_gradients(
            WithFixedMasks(model) if training else model,
            normal(B, T, I),
            return_sequences=sequences,
            lengths=LENGTHS if ragged else None,
            initial_state=random_state(model, B),
            final_state=True,
            max_entries=5,
        )
    assert max(errors.values()) < 1e-6


@pytest.mark.parametrize("rates", [ALL_RATES, {"recurrent_dropout": 0.5}, {"zoneout": (0.0, 0.4)}])
def test_every_mask_is_where_it_belongs(rates):
    """Two layers, step by step from single cells, with the masks put in by hand."""
    model = make(num_layers=2, **rates)
    x, start = normal(B, T, I), random_state(model, B)
    y, cache = model.forward_with_cache(x, initial_state=start, rng=np.random.default_rng(3))
    masks = Masks(model.rates, np.random.default_rng(3))
    sequence = x
    for layer in range(2):
        mask = masks.for_layer_input(sequence, layer == 0)
        params = {name: model.params[f"{name}_l{layer}"] for name in ("W", "U", "b")}
        dropped = masks.for_weights(params, ["U"]).get("U")
        one = LSTM(sequence.shape[2], H, dtype=np.float64, rng=0)
        for name, value in params.items():
            one.params[name][...] = value
        if dropped is not None:
            one.params["U"][...] *= dropped
        around = masks.for_steps((B, T), one.initial_state(B))
        r = 1.0 if around is None or around.recurrent is None else around.recurrent
        zones = (None, None) if around is None or around.zoneout is None else around.zoneout
        h, c = start.h[layer], start.c[layer]
        outputs = []
        for t in range(T):
            seen = sequence[:, t] if mask is None else (sequence * mask)[:, t]
            _, (new_h, new_c) = one.step(seen, (r * h, c))
            h = new_h if zones[0] is None else np.where(zones[0][:, t], h, new_h)
            c = new_c if zones[1] is None else np.where(zones[1][:, t], c, new_c)
            outputs.append(h)
        sequence = np.stack(outputs, axis=1)
    mask = masks.for_output(sequence)
    np.testing.assert_allclose(y, sequence if mask is None else sequence * mask, atol=1e-13)
    np.testing.assert_allclose(cache.cell.state.h[1], h, atol=1e-13)


def test_masks_are_held_over_time_where_they_should_be():
    x = np.ones((200, 9, 50))
    masks = Masks(DropoutRates(0.5, 0.25, 0.25, 0.25, 0.25, (0.1, 0.5)), np.random.default_rng(0))
    held = masks.for_layer_input(x, first=True)
    assert held.shape == (200, 1, 50)
    assert set(np.unique(held)) == {0.0, 1 / 0.75}
    fresh = masks.for_layer_input(x, first=False)
    assert fresh.shape == x.shape
    assert (fresh.std(axis=1) > 0).mean() > 0.7
    around = masks.for_steps((200, 9), (np.ones((200, 30)), np.ones((200, 40))))
    assert around.recurrent.shape == (200, 30)
    # Shares of what was dropped lie within five standard errors of the rates.
    for mask, rate in (
        (held == 0, 0.25),
        (fresh == 0, 1 - 0.75 * 0.5),
        (around.recurrent == 0, 0.25),
        (around.zoneout[0], 0.1),
        (around.zoneout[1], 0.5),
    ):
        assert abs(mask.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / mask.size)


@pytest.mark.parametrize("name", ALL_RATES)
def test_one_seed_gives_one_pass(name):
    model = make(num_layers=2, **{name: 0.4})
    x = normal(B, T, I)

    def outputs(seed):
        return model.forward_with_cache(x, rng=np.random.default_rng(seed))[0]

    assert (outputs(1) == outputs(1)).all()
    assert (outputs(1) != outputs(2)).any()


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_dropped_in_evaluation(name):
    model, plain = make(num_layers=2, **{name: 0.4}), make(num_layers=2)
    x = normal(B, T, I)
    expected = plain.forward(x)
    assert (model.forward(x) == expected).all()
    assert (model.freeze().forward(x) == expected).all()
    assert (model.forward_with_cache(x)[0] == expected).all()
    assert (model.step(x[:, 0])[0] == plain.step(x[:, 0])[0]).all()


def test_zoneout_mixes_by_its_rate_in_evaluation():
    model = make(zoneout=(0.25, 0.5))
    plain = make()
    state = random_state(model, B)
    x = normal(B, I)
    _, new = plain.step(x, state)
    y, mixed = model.step(x, state)
    np.testing.assert_allclose(mixed.h, 0.25 * state.h + 0.75 * new.h, atol=1e-14)
    np.testing.assert_allclose(mixed.c, 0.5 * state.c + 0.5 * new.c, atol=1e-14)
    assert (y == mixed.h).all()
    frozen_y, frozen_state = model.freeze().step(x, state)
    assert (frozen_y == y).all()
    np.testing.assert_array_equal(frozen_state.c, mixed.c)


def test_there_is_no_dropout_after_the_last_layer():
    model, plain = make(dropout=0.5), make()
    x = normal(B, T, I)
    assert (model.forward_with_cache(x, rng=np.random.default_rng(0))[0] == plain.forward(x)).all()


def test_an_output_is_dropped_alike_at_every_step_and_as_the_last_one():
    model = make(output_dropout=0.5)
    x = normal(B, T, I)
    y, _ = model.forward_with_cache(x, rng=np.random.default_rng(0))
    last, _ = model.forward_with_cache(x, False, rng=np.random.default_rng(0))
    dropped = (y == 0).all(axis=1)
    assert 0 < dropped.sum() < dropped.size
    assert (y[~np.repeat(dropped[:, None], T, axis=1)] != 0).all()
    assert (last == y[:, -1]).all()


@pytest.mark.parametrize("merge", ["sum", "mean"])
def test_directions_are_merged(merge):
    form = {"num_layers": 1, "bidirectional": True}
    both, merged = make(**form), make(**form, merge=merge)
    x = normal(B, T, I)
    for sequences in (True, False):
        one, other = np.split(both.forward(x, sequences, lengths=LENGTHS), 2, axis=-1)
        expected = (one + other) / (1 if merge == "sum" else 2)
        np.testing.assert_array_equal(merged.forward(x, sequences, lengths=LENGTHS), expected)


def test_a_file_keeps_rates_and_merge(tmp_path):
    model = make(bidirectional=True, num_layers=2, merge="mean", **ALL_RATES)
    model.save(tmp_path / "m.safetensors")
    other = LSTM.load(tmp_path / "m.safetensors")
    assert other.config == model.config
    assert other.rates == model.rates
    assert other.merge == "mean"
    assert_same_arrays(other.params, model.params)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dropout": 1.0}, "dropout is 1.0; give a rate from 0 to below 1"),
        ({"weight_drop": -0.1}, "weight_drop is -0.1"),
        ({"zoneout": (0.1, 0.2, 0.3)}, "two: of h and of c"),
        ({"zoneout": "much"}, "zoneout is 'much'; give a finite number"),
        ({"merge": "product"}, "merge is 'product'; give one of: concatenate, sum, mean"),
    ],
)
def test_refusals(options, words):
    with pytest.raises(InputError, match=words):
        make(**options)


@pytest.mark.parametrize("rate", [0.001, 0.5, 0.9, 0.99, 0.99999, 1 - 1e-9])
def test_a_mask_is_one_on_average_at_any_rate(rate):
    masks = Masks(DropoutRates(input_dropout=rate), np.random.default_rng(0))
    mask = masks.for_layer_input(np.ones((1000, 1, 1000)), first=True)
    kept = np.unique(mask)[-1]
    assert abs(mask.mean() - 1) < 5 * kept * np.sqrt(1 / kept / mask.size)
    if rate < 0.999:
        assert kept == pytest.approx(1 / (1 - rate), rel=1e-2)


def test_each_direction_has_masks_of_its_own():
    model = make(bidirectional=True, recurrent_dropout=0.5, zoneout=0.5, weight_drop=0.5)
    model.engine = select_engine("reference")
    _, cache = model.forward_with_cache(normal(B, T, I), rng=1)
    one, other = (c.regularization for c in cache.cell.caches)
    assert (one.recurrent != other.recurrent).any()
    assert (one.zoneout[0] != other.zoneout[0]).any()
    assert (one.zoneout[0] != one.zoneout[1]).any()
    one, other = cache.cell.weight_masks
    assert (one["U"] != other["U"]).any()


def test_rng_is_a_generator_or_a_seed():
    model, x = make(recurrent_dropout=0.5), normal(B, T, I)
    by_seed, _ = model.forward_with_cache(x, rng=3)
    assert (by_seed == model.forward_with_cache(x, rng=np.random.default_rng(3))[0]).all()
    for bad in ("seed", -1, 0.5):
        with pytest.raises(InputError, match=r"rng is .*; give a numpy.random.Generator"):
            model.forward_with_cache(x, rng=bad)


def test_zoneout_may_come_as_an_array():
    assert make(zoneout=np.array([0.1, 0.2])).rates.zoneout == (0.1, 0.2)

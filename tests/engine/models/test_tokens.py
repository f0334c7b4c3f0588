"""Tokens: the numbers of one-hot rows without any, a table of one's own, tied weights, a start."""

import pickle

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, MinGRU, RelationalRNN
from lstm_baseline.engine.backend import load_core
from lstm_baseline.engine.cells.blocks import sum_by_token
from lstm_baseline.engine.threads import limit_threads
from lstm_baseline.testing import check_gradients

B, T, V, O = 5, 7, 6, 3
ENGINES = ["reference", *(["native"] if load_core() else [])]
LENGTHS = np.array([7, 4, 1, 6, 7])
KINDS = {
    "lstm": lambda **more: LSTM(V, 5, **more),
    "two layers, both directions": lambda **more: LSTM(
        V, 4, num_layers=2, bidirectional=True, **more
    ),
    "layers of two sizes": lambda **more: LSTM(V, (5, 4), **more),
    "variant": lambda **more: LSTM(V, 5, peepholes=True, projection_size=4, **more),
    "layer norm": lambda **more: LSTM(V, 5, layer_norm=True, **more),
    "coupled": lambda **more: LSTM(V, 5, coupled_gates=True, bias=False, **more),
    "wide": lambda **more: LSTM(V, 50, **more),
    "gru": lambda **more: GRU(V, 5, **more),
    "mingru": lambda **more: MinGRU(V, 5, **more),
    "relational": lambda **more: RelationalRNN(V, num_slots=2, num_heads=2, head_size=3, **more),
}


def rng():
    return np.random.default_rng(11)


def made(kind, engine="reference", *, dtype=np.float64, output_size=O, **more):
    options = {"output_size": output_size, "rng": 0, "dtype": dtype, "engine": engine}
    model = KINDS[kind](**options, **more)
    draws = rng()
    for value in model.params.values():  # biases, gains and starts that are not 0
        value += 0.1 * draws.standard_normal(value.shape).astype(value.dtype)
    return model


def tokens():
    return rng().integers(V, size=(B, T))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole rows", "lengths"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
class TestOneHot:
    def test_tokens_are_one_hot_rows(self, kind, engine, lengths):
        model, k = made(kind, engine), tokens()
        y = model.forward(k, lengths=lengths)
        wanted = model.forward(np.eye(V)[k], lengths=lengths)
        np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-14)

    def test_so_are_their_gradients(self, kind, engine, lengths):
        model, k = made(kind, engine), tokens()
        d_y = rng().standard_normal((B, T, O))
        gradients = []
        for x in (k, np.eye(V)[k]):
            _, cache = model.forward_with_cache(x, lengths=lengths)
            gradients.append(model.backward(d_y, cache))
        mine, wanted = gradients
        for name, gradient in wanted.params.items():
            np.testing.assert_allclose(mine.params[name], gradient, rtol=1e-10, atol=1e-12)
        for own, other in zip(mine.initial_state, wanted.initial_state, strict=True):
            np.testing.assert_allclose(own, other, rtol=1e-10, atol=1e-12)
        with pytest.raises(InputError, match="whole numbers have no gradient"):
            _ = mine.x


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["lstm", "gru", "relational", "two layers, both directions"])
def test_the_last_output_alone(kind, engine):
    model, k = made(kind, engine), tokens()
    d_y = rng().standard_normal((B, O))
    found = []
    for x in (k, np.eye(V)[k]):
        y, cache = model.forward_with_cache(x, False, lengths=LENGTHS)
        found.append((y, model.backward(d_y, cache).params))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12, atol=1e-14)
    for name, gradient in found[1][1].items():
        np.testing.assert_allclose(found[0][1][name], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("kind", "options", "recompute"),
    [
        *[(kind, {"embedding_size": 4, "learned_state": True}, False) for kind in KINDS],
        ("lstm", {"embedding_size": 4}, True),
        ("lstm", {"learned_state": True}, True),
        ("two layers, both directions", {"embedding_size": 4, "learned_state": True}, True),
        ("relational", {"embedding_size": 4, "learned_state": True}, True),
    ],
    ids=str,
)
def test_gradients_are_those_of_central_differences(kind, options, recompute, engine):
    model, k = made(kind, engine, **options), tokens()
    d_y = rng().standard_normal((B, T, O))

    def loss():
        return float(np.sum(model.forward(k, lengths=LENGTHS) * d_y))

    _, cache = model.forward_with_cache(k, lengths=LENGTHS, recompute=recompute)
    gradients = model.backward(d_y, cache).params
    assert gradients.keys() == model.params.keys()
    draws = rng()
    for name, value in model.params.items():
        flat = value.reshape(-1)
        for place in draws.integers(value.size, size=2):
            kept, losses = flat[place], []
            for moved in (kept + 1e-6, kept - 1e-6):
                flat[place] = moved
                losses.append(loss())
            flat[place] = kept
            slope = (losses[0] - losses[1]) / 2e-6
            assert gradients[name].reshape(-1)[place] == pytest.approx(slope, rel=1e-5, abs=1e-7), (
                name
            )


@pytest.mark.parametrize("engine", ENGINES)
def test_tied_weights_get_both_gradients(engine):
    model = LSTM(V, 4, V, embedding_size=4, tied=True, rng=0, dtype=np.float64, engine=engine)
    assert "W_out" not in model.params
    assert model.num_params == V * 4 + V + 16 * (4 + 4 + 1)
    k, d_y = tokens(), rng().standard_normal((B, T, V))
    hidden = LSTM(4, 4, rng=0, dtype=np.float64)
    for name in hidden.params:
        hidden.params[name][...] = model.params[name]
    table = model.params["embedding"]
    h, cache = hidden.forward_with_cache(table[k])
    np.testing.assert_allclose(model.forward(k), h @ table.T + model.params["b_out"], rtol=1e-12)
    _, own = model.forward_with_cache(k)
    gradient = model.backward(d_y, own).params["embedding"]
    d_x = hidden.backward(d_y @ table, cache).x
    wanted = np.einsum("btv,btd->vd", d_y, h)
    np.add.at(wanted, k, d_x)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["lstm", "gru", "relational"])
@pytest.mark.parametrize("options", [{}, {"embedding_size": 4, "learned_state": True}])
class TestUse:
    def test_steps_make_the_sequence(self, kind, engine, options):
        model, k = made(kind, engine, **options), tokens()
        whole, state = model.forward(k), None
        for t in range(T):
            y, state = model.step(k[:, t], state)
            np.testing.assert_allclose(y, whole[:, t], rtol=1e-10, atol=1e-12)

    def test_files_and_pickles_keep_it(self, kind, engine, options, tmp_path):
        model, k = made(kind, engine, dtype=np.float32, **options), tokens()
        model.save(tmp_path / "m.safetensors")
        for again in (
            type(model).load(tmp_path / "m.safetensors"),
            pickle.loads(pickle.dumps(model)),
        ):
            assert again.config == model.config
            again.engine = model.engine
            np.testing.assert_array_equal(again.forward(k), model.forward(k))

    def test_padding_may_hold_anything(self, kind, engine, options):
        model, k = made(kind, engine, **options), tokens()
        spoilt = np.where(np.arange(T) < LENGTHS[:, None], k, -1)
        np.testing.assert_array_equal(
            model.forward(spoilt, lengths=LENGTHS), model.forward(k, lengths=LENGTHS)
        )

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint64, np.int64])
    def test_any_whole_numbers(self, kind, engine, options, dtype):
        model, k = made(kind, engine, **options), tokens()
        np.testing.assert_array_equal(model.forward(k.astype(dtype)), model.forward(k))

    @pytest.mark.parametrize("shape", [(0, T), (B, 0), (1, 1)])
    def test_no_rows_no_steps_and_one(self, kind, engine, options, shape):
        model = made(kind, engine, **options)
        y, cache = model.forward_with_cache(np.zeros(shape, np.int64))
        assert y.shape == (*shape, O)
        gradients = model.backward(np.ones_like(y), cache).params
        assert all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_a_state_that_is_given_does_not_teach_the_learned_one():
    model, k = made("lstm", learned_state=True), tokens()
    d_y = rng().standard_normal((B, T, O))
    _, cache = model.forward_with_cache(k, initial_state=model.initial_state(B))
    assert not model.backward(d_y, cache).params["h_0"].any()
    _, cache = model.forward_with_cache(k)
    assert model.backward(d_y, cache).params["h_0"].any()


def test_a_learned_state_starts_where_the_cell_starts():
    x = rng().standard_normal((B, T, V))
    for kind in ("lstm", "gru", "relational"):
        plain, learned = (KINDS[kind](rng=0, learned_state=own) for own in (False, True))
        np.testing.assert_array_equal(plain.forward(x), learned.forward(x))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_frozen_lstm_takes_tokens(engine):
    for options in ({}, {"embedding_size": 4, "learned_state": True}):
        model, k = made("lstm", engine, **options), tokens()
        frozen = model.freeze()
        np.testing.assert_allclose(frozen.forward(k), model.forward(k), rtol=1e-12)
        y, state = frozen.step(k[:, 0])
        y, _ = frozen.step(k[:, 1], state)
        np.testing.assert_allclose(y, model.forward(k)[:, 1], rtol=1e-10)


class TestDropout:
    def test_an_embedding_may_be_dropped(self):
        model = LSTM(V, 5, O, embedding_size=4, input_dropout=0.5, rng=0)
        y, cache = model.forward_with_cache(tokens(), rng=1)
        assert model.backward(np.ones_like(y), cache).params["embedding"].any()

    def test_one_hot_rows_may_not(self):
        model = LSTM(V, 5, O, input_dropout=0.5, rng=0)
        with pytest.raises(InputError, match="give embedding_size"):
            model.forward_with_cache(tokens(), rng=1)
        model.forward(tokens())

    @pytest.mark.parametrize("engine", ENGINES)
    def test_other_rates_draw_the_masks_of_one_hot_rows(self, engine):
        model = LSTM(
            V,
            5,
            O,
            num_layers=2,
            **{"dropout": 0.3, "recurrent_dropout": 0.2, "weight_drop": 0.2, "zoneout": 0.1},
            rng=0,
            dtype=np.float64,
            engine=engine,
        )
        y, _ = model.forward_with_cache(tokens(), rng=4)
        wanted, _ = model.forward_with_cache(np.eye(V)[tokens()], rng=4)
        np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-14)


class TestRefusals:
    @pytest.mark.parametrize("bad", [-1, V])
    def test_a_token_that_is_none(self, bad):
        k = tokens()
        k[2, 3] = bad
        for options in ({}, {"embedding_size": 4}):
            with pytest.raises(InputError, match=r"x holds tokens from .*; this LSTM knows 6"):
                made("lstm", **options).forward(k)

    def test_numbers_for_a_table(self):
        with pytest.raises(InputError, match="has an embedding, so give tokens"):
            made("lstm", embedding_size=4).forward(np.zeros((B, T, V)))

    def test_weights_that_cannot_be_tied(self):
        with pytest.raises(InputError, match="no embedding to share"):
            LSTM(V, 4, V, tied=True)
        for sizes in ((V, 5, V), (V, 4, V + 1), (V, 4, None)):
            with pytest.raises(InputError, match="tied shares the embedding"):
                LSTM(*sizes, embedding_size=4, tied=True)

    @pytest.mark.parametrize("size", [0, -1, 2.5])
    def test_a_table_without_columns(self, size):
        with pytest.raises(InputError, match="embedding_size"):
            LSTM(V, 4, embedding_size=size)


def test_the_package_s_own_check_takes_tokens():
    errors = check_gradients(made("lstm", embedding_size=4), tokens(), max_entries=20)
    assert "x" not in errors
    assert max(errors.values()) < 1e-6


@pytest.mark.skipif(not load_core(), reason="the compiled core was not built")
@pytest.mark.parametrize("kind", ["lstm", "variant", "gru", "relational"])
def test_bits_do_not_depend_on_threads(kind):
    model = made(kind, "native", dtype=np.float32, output_size=None)
    many = rng().integers(V, size=(64, 40))
    found = []
    for threads in (1, 2, 5):
        with limit_threads(threads):
            y, cache = model.forward_with_cache(many)
            found.append([y, *model.backward(np.ones_like(y), cache).params.values()])
    for other in found[1:]:
        for mine, its in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(mine, its)


@pytest.mark.skipif(not load_core(), reason="the compiled core was not built")
class TestSumByToken:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(50, 7), (1, 1), (0, 3), (9, 0)])
    def test_the_core_adds_as_the_reference_does(self, dtype, shape):
        rows = rng().standard_normal(shape).astype(dtype)
        k = rng().integers(4, size=shape[0]).astype(np.int32)
        np.testing.assert_array_equal(
            load_core().sum_by_token(rows, k, 4), sum_by_token(rows, k, 4)
        )

    def test_it_refuses_what_is_not_in_the_table(self):
        rows = np.ones((3, 2))
        for k in (np.array([0, 1, 4], np.int32), np.array([-1, 0, 0], np.int32)):
            with pytest.raises(ValueError, match="not within the table"):
                load_core().sum_by_token(rows, k, 4)
        with pytest.raises(TypeError):
            load_core().sum_by_token(rows, np.zeros(3, np.int64), 4)
        with pytest.raises(TypeError):
            load_core().sum_by_token(rows, np.zeros(2, np.int32), 4)

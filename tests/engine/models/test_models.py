"""One conformance suite that every model passes."""

import json

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN, load_model
from lstm_baseline.engine.models import MODELS
from tests.support.models import (
    INPUT_SIZE,
    SMALL_MODELS,
    assert_same_arrays,
    make_model,
    normal,
    random_state,
    scatter,
)

B, T, O = 3, 4, 2


@pytest.fixture(params=SMALL_MODELS)
def name(request):
    return request.param


@pytest.fixture
def model(name):
    return make_model(name, output_size=O)


@pytest.fixture
def x():
    return normal(B, T, INPUT_SIZE)


def fresh(name, **options):
    model_class, sizes = SMALL_MODELS[name]
    return model_class(input_size=INPUT_SIZE, **sizes, **options)


class TestForward:
    @pytest.mark.parametrize("output_size", [None, O])
    @pytest.mark.parametrize("return_sequences", [True, False])
    def test_shapes(self, name, x, output_size, return_sequences):
        model = make_model(name, output_size)
        outputs, *state = model.forward(x, return_sequences, return_state=True)
        width = output_size or model.width
        assert outputs.shape == ((B, T, width) if return_sequences else (B, width))
        assert [p.shape for p in state] == [p.shape for p in model.initial_state(B)]
        assert model.state_size == sum(part[0].size for part in state)

    def test_last_output_is_the_last_of_the_sequence(self, model, x):
        np.testing.assert_allclose(
            model.forward(x, return_sequences=False), model.forward(x)[:, -1], rtol=0, atol=1e-14
        )

    def test_without_a_readout_the_output_is_the_state(self, name, x):
        outputs, first, *_ = make_model(name).forward(x, False, return_state=True)
        np.testing.assert_array_equal(outputs, first.reshape(B, -1))
        assert not np.shares_memory(outputs, first)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_everything_comes_in_the_model_s_dtype(self, name, x, dtype):
        model = make_model(name, O, dtype=dtype)
        outputs, *state = model.forward(x, return_state=True)
        _, cache = model.forward_with_cache(x, lengths=[T, 1, 0])
        gradients = model.backward(outputs, cache, state)
        arrays = [
            outputs,
            *state,
            gradients.x,
            *gradients.initial_state,
            *gradients.params.values(),
            *model.params.values(),
            *model.get_params().values(),
            *model.initial_state(1),
        ]
        assert {array.dtype for array in arrays} == {np.dtype(dtype)}

    def test_the_two_dtypes_agree(self, name, x):
        single, double = make_model(name, O, dtype=np.float32), make_model(name, O)
        np.testing.assert_allclose(single.forward(x), double.forward(x), rtol=0, atol=1e-5)

    @pytest.mark.parametrize("kind", [int, bool, np.uint8, np.float16, list])
    def test_real_numbers_of_any_kind_are_taken(self, model, kind):
        ones = np.ones((B, T, INPUT_SIZE))
        given = ones.tolist() if kind is list else ones.astype(kind)
        np.testing.assert_array_equal(model.forward(given), model.forward(ones))

    def test_gradients_have_the_shapes_of_what_they_belong_to(self, model, x):
        outputs, cache = model.forward_with_cache(x, False)
        gradients = model.backward(np.ones_like(outputs), cache)
        assert {k: v.shape for k, v in gradients.params.items()} == {
            k: v.shape for k, v in model.params.items()
        }
        assert gradients.x.shape == x.shape
        own = model.initial_state(B)
        assert type(gradients.initial_state) is type(own)
        assert [p.shape for p in gradients.initial_state] == [p.shape for p in own]

    def test_one_cache_serves_more_than_once(self, model, x):
        outputs, cache = model.forward_with_cache(x)
        first, second = model.backward(outputs, cache), model.backward(outputs, cache)
        assert_same_arrays(first.params, second.params)
        np.testing.assert_array_equal(first.x, second.x)


class TestRefusals:
    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.zeros((B, T)), r"x has shape \(3, 4\); give three axes"),
            (np.zeros((B, T, INPUT_SIZE + 1)), "x has 4 features; this .* takes 3"),
            (np.zeros((B, T, INPUT_SIZE), complex), "x has dtype complex128"),
            (np.full((B, T, INPUT_SIZE), "a"), "x has dtype <U1"),
            (np.full((B, T, INPUT_SIZE), None), "x has dtype object"),
        ],
    )
    def test_x(self, model, x, message):
        with pytest.raises(InputError, match=message):
            model.forward(x)
        with pytest.raises(InputError, match=message):
            model.forward_with_cache(x)

    @pytest.mark.parametrize(
        ("lengths", "message"),
        [
            ([1, 2], r"lengths has shape \(2,\); give one number a row"),
            ([1, 2, T + 1], "lengths runs from 1 to 5"),
            ([-1, 2, 3], "lengths runs from -1 to 3"),
            ([1.0, 2.0, 3.0], "lengths has dtype float64"),
            ([True, True, False], "lengths has dtype bool"),
            (3, r"lengths has shape \(\)"),
            ([[1], [1, 2]], "lengths is not an array"),
        ],
    )
    def test_lengths(self, model, x, lengths, message):
        with pytest.raises(InputError, match=message):
            model.forward(x, lengths=lengths)

    def test_states(self, model, x):
        with pytest.raises(InputError, match=f"initial_state .* has shape .*; expected \\({B}, "):
            model.forward(x, initial_state=random_state(model, B + 1))
        with pytest.raises(InputError, match="initial_state has 3 arrays"):
            model.forward(x, initial_state=[np.zeros((B, 1))] * 3)
        with pytest.raises(InputError, match="x_t has shape"):
            model.step(x)

    def test_output_gradients(self, model, x):
        _, cache = model.forward_with_cache(x)
        with pytest.raises(InputError, match="d_outputs has shape"):
            model.backward(np.zeros((B, O)), cache)
        with pytest.raises(InputError, match="d_state"):
            model.backward(np.zeros((B, T, O)), cache, random_state(model, B + 1))

    @pytest.mark.parametrize(
        "options",
        [{"input_size": 0}, {"output_size": 0}, {"output_size": 2.0}, {"input_size": "3"}],
        ids=str,
    )
    def test_sizes(self, name, options):
        model_class, sizes = SMALL_MODELS[name]
        with pytest.raises(InputError, match="give a whole number from 1 to"):
            model_class(**{"input_size": INPUT_SIZE, **sizes, **options})

    @pytest.mark.parametrize("dtype", [None, "nonsense", np.float16, int, {}, [1]], ids=repr)
    def test_dtypes(self, name, dtype):
        with pytest.raises(InputError, match="give float32 or float64"):
            fresh(name, dtype=dtype)

    def test_engines(self, name):
        with pytest.raises(InputError, match="engine is 'warp'"):
            fresh(name, engine="warp")


class TestParams:
    def test_round_trip(self, name):
        given = make_model(name, O, seed=1).get_params()
        model = make_model(name, O, seed=2)
        model.set_params(given)
        assert_same_arrays(model.get_params(), given)

    def test_they_determine_the_outputs(self, name, x):
        first, second = make_model(name, O, seed=1), make_model(name, O, seed=2)
        assert not np.allclose(first.forward(x), second.forward(x))
        second.set_params(first.get_params())
        np.testing.assert_array_equal(first.forward(x), second.forward(x))

    def test_what_one_gets_is_a_copy(self, model):
        before = {name: value.copy() for name, value in model.params.items()}
        for value in model.get_params().values():
            value += 1
        assert_same_arrays(model.params, before)

    def test_what_one_sets_is_copied(self, model):
        given = model.get_params()
        model.set_params(given)
        before = model.get_params()
        for value in given.values():
            value += 1
        assert_same_arrays(model.get_params(), before)

    def test_live_arrays_stay_the_same_objects(self, model):
        before = dict(model.params)
        model.set_params({name: value + 1 for name, value in model.get_params().items()})
        assert all(model.params[name] is value for name, value in before.items())

    def test_every_live_array_takes_part(self, model, x):
        before = model.forward(x)
        for name, value in model.params.items():
            change = 0.1 * normal(*value.shape, seed=5)
            value += change
            assert not np.allclose(model.forward(x), before), name
            value -= change

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda p: p.pop("W_out"), "params has missing W_out"),
            (lambda p: p.update(W_more=np.zeros(1)), "params has unknown W_more"),
            (lambda p: p.update(b_out=np.zeros(O)), r"b_out has shape \(2,\); expected \(2, 1\)"),
            (lambda p: p.update(b_out=np.zeros((O, 1), complex)), "b_out has dtype complex128"),
        ],
    )
    def test_a_refusal_changes_nothing(self, model, spoil, message):
        before = model.get_params()
        given = {name: value + 1 for name, value in before.items()}
        spoil(given)
        with pytest.raises(InputError, match=message):
            model.set_params(given)
        assert_same_arrays(model.get_params(), before)

    @pytest.mark.parametrize("output_size", [None, O])
    def test_shapes_without_making_any(self, name, output_size):
        model = make_model(name, output_size)
        config = {key: value for key, value in model.config.items() if key != "dtype"}
        shapes = type(model).shapes(**config)
        assert shapes == {key: value.shape for key, value in model.params.items()}
        assert model.num_params == sum(int(np.prod(shape)) for shape in shapes.values())

    def test_the_configuration_is_plain_json_and_makes_the_same_model(self, model):
        config = json.loads(json.dumps(model.config))
        again = type(model)(**config)
        assert again.config == model.config
        assert again.params.keys() == model.params.keys()

    def test_a_seed_gives_the_same_bits(self, name):
        first, second = fresh(name, output_size=O, rng=3), fresh(name, output_size=O, rng=3)
        assert_same_arrays(first.params, second.params)
        generator = fresh(name, output_size=O, rng=np.random.default_rng(3))
        assert_same_arrays(first.params, generator.params)
        assert not np.array_equal(first.params["W_out"], fresh(name, output_size=O).params["W_out"])

    def test_both_dtypes_start_at_the_same_place(self, name):
        single, double = fresh(name, rng=3), fresh(name, rng=3, dtype=np.float64)
        assert_same_arrays(single.params, double.params, tolerance=1e-7)


class TestFiles:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("output_size", [None, O])
    def test_round_trip_bit_for_bit(self, name, x, tmp_path, dtype, output_size):
        model = make_model(name, output_size, dtype=dtype)
        path = tmp_path / "deep" / "model.safetensors"
        model.save(path)
        for loaded in (type(model).load(path), load_model(str(path))):
            assert type(loaded) is type(model)
            assert loaded.config == model.config
            assert_same_arrays(loaded.params, model.params)
            assert {v.dtype for v in loaded.params.values()} == {np.dtype(dtype)}
            np.testing.assert_array_equal(loaded.forward(x), model.forward(x))

    def test_a_loaded_model_can_be_trained(self, model, x, tmp_path):
        model.save(tmp_path / "model")
        loaded = load_model(tmp_path / "model")
        before = loaded.forward(x)
        for value in loaded.params.values():
            value -= 0.1
        assert not np.allclose(loaded.forward(x), before)

    def test_saving_twice_gives_the_same_bytes(self, model, tmp_path):
        model.save(tmp_path / "a")
        model.save(tmp_path / "b")
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


class TestSizes:
    def test_every_model_has_a_name(self):
        named = {name: kind.model for name, kind in MODELS.items()}
        assert named.items() >= {"lstm": LSTM, "gru": GRU, "relational": RelationalRNN}.items()
        assert all(name == kind.name for name, kind in MODELS.items())

    def test_lstm(self):
        assert LSTM(32, 64, 16).num_params == 25_872

    def test_gru(self):
        # Three gates of (I + H + 1) H, and the candidate's second bias.
        assert GRU(32, 64).num_params == 3 * 64 * (32 + 64 + 1) + 64

    @pytest.mark.parametrize("num_slots", [1, 4, 8, 16])
    def test_relational_memory_core_whatever_the_slots(self, num_slots):
        model = RelationalRNN(40, num_slots=num_slots, num_heads=8, head_size=32)
        assert model.num_params == 10_496 + 197_376 + 2_560 + 131_584 + 263_168 == 605_184

    def test_relational_parts(self):
        shapes = RelationalRNN(40, num_slots=8, num_heads=8, head_size=32).params

        def count(*starts):
            return sum(v.size for k, v in shapes.items() if k.startswith(starts))

        assert count("W_in", "b_in") == 10_496
        assert count("W_qkv", "b_qkv") == 197_376
        assert count("gain", "bias") == 2_560
        assert count("W_mlp", "b_mlp") == 131_584
        assert count("W_g", "U_g", "b_g", "b_u") == 263_168

    @pytest.mark.parametrize("model_class", [LSTM, GRU])
    def test_operations_of_a_gated_step(self, model_class):
        model = model_class(3, 5, O)
        weights = sum(value.size for value in model.params.values() if value.ndim == 2)
        assert model.flops_per_step == 2 * weights  # each is multiplied and added once

    @pytest.mark.parametrize("gate", ["unit", "memory"])
    def test_operations_of_a_relational_step(self, gate):
        S, H, K, V = 3, 2, 5, 4
        model = RelationalRNN(
            3, O, num_slots=S, num_heads=H, head_size=V, key_size=K, num_blocks=2, gate=gate
        )
        rows = {"W_in": 1, "W_out": 1, "W_g": 1, "U_g": S}  # by how many each is multiplied
        rows |= {"W_qkv_0": S + 1, "W_qkv_1": S + 1, "W_mlp_0": 2 * (S + 1), "W_mlp_1": 2 * (S + 1)}
        products = sum(rows[k] * v.size for k, v in model.params.items() if v.ndim == 2)
        scores_and_reads = 2 * H * (S + 1) ** 2 * (K + V)
        assert model.flops_per_step == 2 * (products + scores_and_reads)


class TestRelationalModel:
    def test_blocks_share_the_mlp_and_nothing_else(self):
        one, two = (RelationalRNN(3, num_blocks=k).params.keys() for k in (1, 2))
        added = two - one
        assert all(name.endswith("_1") for name in added)
        assert not any("W_mlp" in name or "b_mlp" in name for name in added)

    def test_memory_gates_have_one_number_a_slot(self):
        model = RelationalRNN(3, num_heads=2, head_size=3, gate="memory")
        assert model.params["W_g"].shape == model.params["U_g"].shape == (2, 6)

    @pytest.mark.parametrize(("num_slots", "width"), [(2, 3), (3, 3), (4, 2)])
    def test_the_memory_starts_as_an_identity(self, num_slots, width):
        model = RelationalRNN(3, num_slots=num_slots, num_heads=1, head_size=width)
        (memory,) = model.initial_state(5)
        assert memory.shape == (5, num_slots, width)
        assert (memory == np.eye(num_slots, width)).all()

    def test_starting_values(self):
        params = RelationalRNN(40, num_slots=8, num_heads=8, head_size=32, rng=0).params
        for name, value in params.items():
            if value.ndim == 2:
                fan_in = value.shape[1]
                assert np.abs(value).max() <= 2 / np.sqrt(fan_in)
                assert value.std() == pytest.approx(0.88 / np.sqrt(fan_in), rel=0.03)
            else:
                assert (value == float(name.startswith("gain"))).all()

    @pytest.mark.parametrize(
        "options",
        [
            {"gate": "none"},
            {"gate": None},
            {"num_slots": 0},
            {"num_blocks": 0},
            {"num_blocks": 257},
            {"mlp_layers": 0},
            {"key_size": 0},
            {"forget_bias": np.nan},
            {"input_bias": "0"},
        ],
        ids=str,
    )
    def test_options_are_checked(self, options):
        with pytest.raises(InputError, match=next(iter(options))):
            RelationalRNN(3, **options)

    def test_gate_biases_open_and_close_the_gates(self):
        x = normal(1, 1, 3)
        closed = RelationalRNN(3, dtype=np.float64, rng=0, forget_bias=50, input_bias=-50)
        np.testing.assert_allclose(
            closed.forward(x)[0, 0], closed.initial_state(1).memory.ravel(), rtol=0, atol=1e-12
        )
        opened = scatter(RelationalRNN(3, dtype=np.float64, rng=0, forget_bias=-50))
        assert np.abs(opened.forward(x)).max() <= 1  # only tanh(M̃) is left

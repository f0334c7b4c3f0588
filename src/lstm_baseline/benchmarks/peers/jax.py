"""JAX: compiled beforehand, a scan over time with the input's product taken out of it.

Gates are in our order, weights transposed once, sequences time-first. The sigmoid is written with
tanh, which XLA computes faster. Outputs are waited for.

JAX has no setting for the number of threads of a CPU. Its client counts the cores when it is made,
and takes the environment's NPROC for that count, so each number of threads has a client of its own.
"""

import gc
import os

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.backend import clear_backends

from lstm_baseline.benchmarks.cases import LEARNING_RATE, MAX_NORM, Problem
from lstm_baseline.benchmarks.entrants import CHECKED_STEPS, Answer, Entrant
from lstm_baseline.engine.shapes import NDArray

JaxParams = dict[str, jax.Array]
"""Our weights by name, matrices transposed."""

AdamState = tuple[JaxParams, JaxParams, JaxParams, jax.Array]
"""Parameters, both moments and the number of steps."""


def entrants(problem: Problem, threads: int) -> list[Entrant]:
    """Return JAX's, for a client of a number of threads; arrays of the last client are gone."""
    build = {"forward": _forward, "gradient": _gradient, "training": _training}
    if problem.case.model != "lstm" or problem.case.kind not in build:
        return []
    _start_client(threads)
    return [build[problem.case.kind](problem)]


def _start_client(threads: int) -> None:
    gc.collect()  # arrays of the client before hold it, and its threads, alive
    clear_backends()
    before = os.environ.get("NPROC")
    os.environ["NPROC"] = str(threads)
    try:
        jax.config.update("jax_platforms", "cpu")
        jax.devices()
    finally:
        if before is None:
            del os.environ["NPROC"]
        else:
            os.environ["NPROC"] = before


def _unroll(p: JaxParams, x: jax.Array) -> jax.Array:
    """Apply F1 to F6 of ``cells/lstm.py`` over (T, B, I); return (T, B, H)."""
    u = x @ p["W"] + p["b"]
    num_rows, num_units = x.shape[1], p["U"].shape[0]

    def step(
        state: tuple[jax.Array, jax.Array], u_t: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        h, c = state
        z_f, z_i, z_c, z_o = jnp.split(u_t + h @ p["U"], 4, axis=-1)
        c = _sigmoid(z_f) * c + _sigmoid(z_i) * jnp.tanh(z_c)
        h = _sigmoid(z_o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((num_rows, num_units), x.dtype)
    return lax.scan(step, (zeros, zeros), u)[1]


def _sigmoid(z: jax.Array) -> jax.Array:
    return 0.5 * jnp.tanh(0.5 * z) + 0.5


def _forward(problem: Problem) -> Entrant:
    arguments = _weights(problem), _time_first(problem.x)
    run = jax.jit(_unroll).lower(*arguments).compile()
    return Entrant(
        "JAX",
        "JAX",
        lambda: {"outputs": _batch_first(run(*arguments))},
        lambda: run(*arguments).block_until_ready(),
    )


def _gradient(problem: Problem) -> Entrant:
    arguments = _weights(problem), _time_first(problem.x), _time_first(problem.d_outputs)

    def outputs_and_gradients(
        p: JaxParams, x: jax.Array, d_outputs: jax.Array
    ) -> tuple[jax.Array, JaxParams]:
        outputs, pull_back = jax.vjp(lambda p: _unroll(p, x), p)
        return outputs, pull_back(d_outputs)[0]

    run = jax.jit(outputs_and_gradients).lower(*arguments).compile()

    def answer() -> Answer:
        outputs, gradients = run(*arguments)
        return {"outputs": _batch_first(outputs), **_in_our_layout(gradients)}

    return Entrant("JAX", "JAX", answer, lambda: jax.block_until_ready(run(*arguments)))


def _training(problem: Problem) -> Entrant:
    x, targets = _time_first(problem.x), jnp.asarray(problem.targets)
    params = _weights(problem)
    zeros = jax.tree.map(jnp.zeros_like, params)
    # Arrays that are given away must not be one and the same.
    state = (params, zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros((), jnp.int32))
    gradients = jax.jit(_clipped_gradients)(params, x, targets)[1]
    first_gradients = _in_our_layout(gradients)
    run = jax.jit(_training_step, donate_argnums=0).lower(state, x, targets).compile()

    def call() -> jax.Array:
        nonlocal state
        state, loss = run(state, x, targets)
        return jax.block_until_ready((state, loss))[1]

    def answer() -> Answer:
        losses = [float(call()) for _ in range(CHECKED_STEPS)]
        return {"losses": np.array(losses), **first_gradients}

    return Entrant("JAX", "JAX", answer, call)


def _clipped_gradients(
    p: JaxParams, x: jax.Array, targets: jax.Array
) -> tuple[jax.Array, JaxParams]:
    def loss_of(p: JaxParams) -> jax.Array:
        logits = _unroll(p, x)[-1] @ p["W_out"] + p["b_out"]
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1)
        return -jnp.mean(chosen)

    loss, gradients = jax.value_and_grad(loss_of)(p)
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in gradients.values()))
    scale = jnp.minimum(1.0, MAX_NORM / norm)
    return loss, {name: g * scale for name, g in gradients.items()}


def _training_step(
    state: AdamState, x: jax.Array, targets: jax.Array
) -> tuple[AdamState, jax.Array]:
    """Take a step of Adam as in ``training/optimizers.py``."""
    p, m, v, t = state
    loss, g = _clipped_gradients(p, x, targets)
    t = t + 1
    m = {name: 0.9 * m[name] + 0.1 * g[name] for name in p}
    v = {name: 0.999 * v[name] + 0.001 * g[name] ** 2 for name in p}
    rate, root = LEARNING_RATE / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
    p = {name: p[name] - rate * m[name] / (jnp.sqrt(v[name]) / root + 1e-8) for name in p}
    return (p, m, v, t), loss


def _weights(problem: Problem) -> JaxParams:
    """Return our weights, matrices transposed."""
    return {name: jnp.asarray(value.T.copy()) for name, value in problem.model.params.items()}


def _in_our_layout(gradients: JaxParams) -> Answer:
    return {name: np.array(value.T) for name, value in gradients.items()}


def _time_first(value: NDArray) -> jax.Array:
    return jnp.asarray(np.ascontiguousarray(value.transpose(1, 0, 2)))


def _batch_first(value: jax.Array) -> NDArray:
    return np.array(value).transpose(1, 0, 2)

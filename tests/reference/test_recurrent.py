import numpy as np
import pytest
import torch
from layer_examples import recurrent

from foolscope.reference import RNN, relative_error


@pytest.mark.parametrize(
    ("kind", "activation"), [("rnn", "tanh"), ("rnn", "linear"), ("rnn", "relu"), ("lstm", "tanh")]
)
def test_gradients_by_hidden_states(kind, activation):
    """∂L/∂h_t is what an addition to h_t would change: run the rest of the sequence from h_t."""
    example = recurrent(kind, 2, 5, 3, 4, activation=activation)
    parameters, inputs, gradient = example.draw()
    outputs, cache = example.layer.forward(parameters, inputs)
    by_hidden = example.layer.hidden_gradients(parameters, cache, gradient)
    assert by_hidden.shape == outputs.shape
    tensors = {name: torch.from_numpy(value) for name, value in parameters.items()}
    added = torch.zeros(outputs.shape, dtype=torch.float64, requires_grad=True)
    hidden = cell = torch.zeros(2, 4, dtype=torch.float64)
    loss = 0
    for step in range(5):
        sums = torch.from_numpy(inputs[:, step]) @ tensors["weight_ih_l0"].T + tensors["bias_ih_l0"]
        sums = sums + hidden @ tensors["weight_hh_l0"].T + tensors["bias_hh_l0"]
        if kind == "lstm":
            keep_in, forget, candidate, let_out = sums.chunk(4, dim=1)
            cell = forget.sigmoid() * cell + keep_in.sigmoid() * candidate.tanh()
            hidden = let_out.sigmoid() * cell.tanh()
        else:
            hidden = {"tanh": torch.tanh, "relu": torch.relu, "linear": lambda x: x}[activation](sums)
        hidden = hidden + added[:, step]
        loss = loss + (hidden * torch.from_numpy(gradient[:, step])).sum()
    (expected,) = torch.autograd.grad(loss, added)
    assert relative_error(by_hidden, expected.numpy()) <= 1e-12


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_in_a_linear_recurrence_the_gradient_changes_by_the_norm_in_every_step(factor):
    """B5: with an orthogonal matrix times w the gradient's norm is exactly |w|^(T − t)."""
    steps, units = 20, 4
    orthogonal = np.linalg.qr(np.random.default_rng(0).normal(size=(units, units)))[0]
    parameters = {"weight_ih_l0": np.ones((units, 1)), "weight_hh_l0": factor * orthogonal}
    _, cache = RNN("linear").forward(parameters, np.zeros((1, steps, 1)))
    gradient = np.zeros((1, steps, units))
    gradient[:, -1, 0] = 1.0
    norms = np.linalg.norm(RNN("linear").hidden_gradients(parameters, cache, gradient)[0], axis=1)
    np.testing.assert_allclose(norms, factor ** np.arange(steps - 1.0, -1.0, -1.0), rtol=1e-12)

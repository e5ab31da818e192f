"""Training in NumPy follows PyTorch's, step by step."""

import numpy as np
import pytest
import torch
from mirrored import model_of
from torch.nn import functional

from foolscope.inspection.gradients.mirroring import described, state_of
from foolscope.reference import (
    SGD,
    CrossEntropy,
    SquaredError,
    TrainingState,
    reference_network,
    relative_error,
    train,
)

STEPS = 20


def batches(dtype=np.float64, shape=(1, 6, 5), classes=4):
    generator = np.random.default_rng(0)
    return [
        (generator.random((count, *shape)).astype(dtype), generator.integers(classes, size=count))
        for count in [8] * (STEPS - 1) + [3]
    ]


RATES = 0.1 * 0.97 ** np.arange(STEPS)


def in_pytorch(model, loss, sgd):
    """torch.optim.SGD with L2 as its weight decay, for weights only; L1 in the loss."""
    weights = [value for value in model.parameters() if value.dim() > 1]
    others = [value for value in model.parameters() if value.dim() <= 1]
    optimizer = torch.optim.SGD(
        [{"params": weights, "weight_decay": sgd.l2}, {"params": others, "weight_decay": 0.0}],
        lr=1.0,
        momentum=sgd.momentum,
    )
    model.train()
    losses, correct = [], []
    for (images, labels), rate in zip(batches(), RATES, strict=True):
        outputs, targets = model(torch.from_numpy(images)), torch.from_numpy(labels)
        value = loss(outputs, targets)
        losses.append(value.item())
        correct.append((outputs.argmax(dim=1) == targets).sum().item())
        optimizer.zero_grad()
        (value + sgd.l1 * sum(weight.abs().sum() for weight in weights)).backward()
        if sgd.clipping < np.inf:
            norm = torch.cat([value.grad.flatten() for value in model.parameters()]).norm()
            for value in model.parameters():
                value.grad.mul_((sgd.clipping / norm).clamp(max=1.0))
        before = [weight.detach().clone() for weight in weights]
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        for weight, old in zip(weights, before, strict=True):
            weight.data.sub_(rate * sgd.weight_decay * old)
    return state_of(model), losses, correct


def half_squares(outputs, labels):
    return 0.5 * (outputs - functional.one_hot(labels, 4)).square().sum(dim=1).mean()


CASES = {
    "softmax": ("softmax", {}, SGD()),
    "mlp": ("mlp", {"hidden": (7,)}, SGD(momentum=0.9)),
    "mlp, L2": ("mlp", {"hidden": (7, 6), "activation": "tanh"}, SGD(momentum=0.9, l2=0.02)),
    "mlp, L1": ("mlp", {"hidden": (7,)}, SGD(momentum=0.5, l1=0.01)),
    "mlp, all": ("mlp", {"hidden": (7,)}, SGD(0.9, l1=0.01, l2=0.02, weight_decay=0.03)),
    "clipping": ("softmax", {}, SGD(momentum=0.9, clipping=0.3)),
    "small cnn": ("small-cnn", {"channels": (2, 3), "units": (5, 4)}, SGD(momentum=0.9, l2=0.01)),
    "resnet": ("resnet", {"channels": (2, 3)}, SGD(momentum=0.9, l2=0.01)),
}


@pytest.mark.parametrize(("name", "settings", "sgd"), CASES.values(), ids=list(CASES))
@pytest.mark.parametrize(
    ("loss", "torch_loss"), [(CrossEntropy(), functional.cross_entropy), (SquaredError(), half_squares)]
)
def test_twenty_steps_are_those_of_pytorch(name, settings, sgd, loss, torch_loss):
    model = model_of(name, (1, 6, 5), **settings)
    network, parameters = reference_network(described(model)), state_of(model)
    start = TrainingState(parameters, {})
    end, steps = train(network, start, batches(), RATES, loss=loss, sgd=sgd)
    expected, losses, correct = in_pytorch(model, torch_loss, sgd)
    np.testing.assert_allclose(steps.losses, losses, rtol=1e-10)
    assert steps.correct.tolist() == correct
    assert end.parameters.keys() == expected.keys()
    for key, value in end.parameters.items():
        assert relative_error(value, expected[key]) <= 1e-10, key
        fixed = key.startswith("normalization")
        assert np.array_equal(value, state_of(model_of(name, (1, 6, 5), **settings))[key]) == fixed


def test_clipping_clips_and_lets_small_gradients_be():
    model = model_of("softmax", (1, 6, 5))
    network, start = reference_network(described(model)), TrainingState(state_of(model), {})

    def end(clipping):
        sgd = SGD(clipping=clipping)
        return train(network, start, batches()[:1], [1.0], loss=CrossEntropy(), sgd=sgd)[0].parameters

    def moved(clipping):
        ended = end(clipping)
        return np.sqrt(sum(((ended[key] - value) ** 2).sum() for key, value in start.parameters.items()))

    assert moved(0.125) == pytest.approx(0.125, rel=1e-12)
    assert moved(1e6) == moved(np.inf) > 0.2


def test_going_on_is_as_good_as_going_through():
    model = model_of("resnet", (1, 6, 5), channels=(2,))
    network, sgd = reference_network(described(model)), SGD(momentum=0.9)
    state, data = TrainingState(state_of(model), {}), batches()
    through, steps = train(network, state, data, RATES, loss=CrossEntropy(), sgd=sgd)
    half, first = train(network, state, data[:7], RATES[:7], loss=CrossEntropy(), sgd=sgd)
    kept = {name: value.copy() for name, value in (half.parameters | half.velocities).items()}
    end, second = train(network, half, data[7:], RATES[7:], loss=CrossEntropy(), sgd=sgd)
    assert np.array_equal(np.concatenate([first.losses, second.losses]), steps.losses)
    for name, value in through.parameters.items():
        assert np.array_equal(value, end.parameters[name])
    for name, value in (half.parameters | half.velocities).items():
        assert np.array_equal(value, kept[name]), "the state that was handed in has changed"


def test_float32_stays_float32_and_near():
    model = model_of("mlp", (1, 6, 5), hidden=(7,))
    network, parameters = reference_network(described(model)), state_of(model)
    single = {name: value.astype(np.float32) for name, value in parameters.items()}
    sgd = SGD(0.9, l1=0.01, l2=0.02, weight_decay=0.03, clipping=1.0)
    double_end, _ = train(
        network, TrainingState(parameters, {}), batches(), RATES, loss=CrossEntropy(), sgd=sgd
    )
    end, _ = train(
        network, TrainingState(single, {}), batches(np.float32), RATES, loss=CrossEntropy(), sgd=sgd
    )
    for name, value in (end.parameters | end.velocities).items():
        assert value.dtype == np.float32
        assert relative_error(value, (double_end.parameters | double_end.velocities)[name]) < 1e-4


def test_as_many_learning_rates_as_batches():
    model = model_of("softmax", (1, 6, 5))
    start = TrainingState(state_of(model), {})
    with pytest.raises(ValueError, match="zip"):
        train(
            reference_network(described(model)), start, batches(), RATES[:-1], loss=CrossEntropy(), sgd=SGD()
        )

"""What differs between the modes, on models whose answers in both are known."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foolscope.inspection.answers import modes
from foolscope.inspection.answers.modes import mode_difference, mode_layers
from foolscope.models.layers import Dropout

IMAGES = torch.rand(50, 2, 3, 4, generator=torch.Generator().manual_seed(0))


def measured(model, images=IMAGES, seed=0):
    return mode_difference(model, images, np.random.default_rng(seed))


def head(features=24):
    layer = nn.Linear(features, 3)
    nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
    return layer


class Auxiliary(nn.Module):
    """Returns a pair in training mode."""

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = images.flatten(1)
        return (logits, logits) if self.training else logits


def test_a_model_without_modes_differs_by_rounding_at_most():
    found = measured(nn.Sequential(nn.Flatten(), head()))
    assert found.layers == []
    assert found.evaluation_repeated == found.training_repeated == 0
    assert max(found.evaluation_companions, found.training_companions, found.between) < 1e-5
    assert (found.images, found.companions) == (8, 15)


@pytest.mark.parametrize("kind", [Dropout, nn.Dropout])
def test_dropout_is_chance_in_training_and_nothing_else(kind):
    """At the end of the model it doubles a logit or sets it to zero: both change it by its size."""
    body = nn.Sequential(nn.Flatten(), head())
    found = measured(nn.Sequential(body, kind(0.5)))
    assert [each.layer for each in found.layers] == ["1"]
    assert found.evaluation_repeated == 0
    assert found.evaluation_companions < 1e-5
    assert found.training_companions < 1e-5, "the draws are the same"
    batches = modes._batches(IMAGES, 8, np.random.default_rng(0))
    logits = torch.stack([body(each.alone)[0] for each in batches]).detach()
    assert found.between == pytest.approx(float(logits.abs().max()), rel=1e-5)
    assert any(
        found.training_repeated == pytest.approx(float(2 * each), rel=1e-5) for each in logits.abs().flatten()
    )
    assert found.logit_deviation == pytest.approx(float(logits.std(correction=0)), rel=1e-5)


def test_batch_statistics_are_those_of_the_companions():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten())
    model[0].running_mean.fill_(0.3)
    found = measured(model)

    def normalized(batch):
        mean = batch.mean(dim=(0, 2, 3), keepdim=True)
        variance = batch.var(dim=(0, 2, 3), keepdim=True, correction=0)
        return ((batch - mean) / (variance + 1e-5).sqrt())[0]

    changes, between = [], []
    for each in modes._batches(IMAGES, 8, np.random.default_rng(0)):
        changes.append((normalized(each.some) - normalized(each.others)).abs().max())
        stored = (each.alone[0] - 0.3) / (1 + 1e-5) ** 0.5
        between.append((normalized(each.some) - stored).abs().max())
        assert torch.equal(each.some[0], each.others[0])
        rows = {tuple(row.tolist()) for row in torch.cat([each.some, each.others]).flatten(1)}
        assert len(rows) == 31, "the two sets of companions do not overlap"
    assert found.training_companions == pytest.approx(float(max(changes)), rel=1e-4)
    assert found.between == pytest.approx(float(max(between)), rel=1e-4)
    assert found.training_repeated == 0
    assert found.evaluation_companions < 1e-5
    assert "stored ones" in found.layers[0].training


def test_the_model_and_the_global_random_state_are_as_before():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.3), Dropout(0.3), nn.Flatten(), head())
    model.train()
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, images = torch.get_rng_state(), IMAGES.clone()
    assert measured(model) == measured(model)
    assert measured(model) != measured(model, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, IMAGES)
    assert [layer.training for layer in model] == [False, True, True, True, True]
    assert model[2].generator is None
    assert all(each.requires_grad for each in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(("model", "count"), [(nn.Flatten(), 1), (nn.Flatten(), 2), (Auxiliary(), 50)])
def test_where_the_modes_cannot_be_compared_evaluation_still_is(model, count):
    found = measured(model, IMAGES[:count])
    assert found.training_repeated is found.training_companions is found.between is None
    assert found.evaluation_repeated == found.evaluation_companions == 0


def test_layers_without_an_effect_in_training_are_not_listed():
    model = nn.ModuleDict(
        {
            "off": nn.Dropout(0.0),
            "own-off": Dropout(0.0),
            "stateless": nn.BatchNorm1d(3, track_running_stats=False),
            "drop": nn.Dropout2d(0.25),
            "norm": nn.BatchNorm1d(3),
            "instance": nn.InstanceNorm2d(3),
            "attention": nn.MultiheadAttention(4, 2, dropout=0.1),
            "lstm": nn.LSTM(2, 2, num_layers=2, dropout=0.2),
            "slopes": nn.RReLU(),
        }
    )
    found = {each.layer: each.training for each in mode_layers(model)}
    assert set(found) == {"drop", "norm", "attention", "lstm", "slopes"}
    assert found["drop"] == "sets activations to zero with probability 0.25"

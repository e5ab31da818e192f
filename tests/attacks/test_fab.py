"""What FAB promises beyond every attack that looks for the smallest perturbation."""

import pydantic
import pytest
import torch
from torch import nn

from foolscope.attacks import FAB, misclassified, run
from foolscope.threats import NORMS, Threat

NORM = pytest.mark.parametrize("norm", list(NORMS))
LARGEST = {"linf": 0.5, "l2": 2.0, "l1": 8.0}


class Recorder(nn.Module):
    """Passes images on to a model and remembers them."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, images):
        self.seen.append(images.detach().clone())
        return self.model(images)


@pytest.fixture
def brighter(make_linear):
    """Two classes, the second where the mean of two pixels is above 0.5; a gray image of the first."""
    weights = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    model = make_linear(weights, torch.tensor([1.0, 0.0], dtype=torch.float64)).eval()
    return Recorder(model), torch.full((1, 1, 1, 2), 0.3, dtype=torch.float64), torch.tensor([0])


@pytest.fixture
def setting(make_network, make_images):
    model, images = make_network(1, 6, 5, 3).eval(), make_images(20, 1, 6, 5)
    return model, images, model(images).argmax(1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_path_is_the_one_worked_out_by_hand(norm, brighter):
    """On the line to the boundary, which is at 1: out to 1.05, back to 0.945, and a step biased by α."""
    model, image, label = brighter
    run(model, image, label, Threat(norm, 0.5), FAB(iterations=2, final_steps=0), seed=0)
    alpha = 0.055 / 1.055
    second = (1 - alpha) * (0.945 + 1.05 * 0.055) + alpha * 1.05
    # The clean image twice, as such and as the first iterate; at last the best point: search, result, check.
    expected = torch.tensor([0, 0, 1.05, 0.945, second, 0, second, second, second], dtype=torch.float64)
    shown = torch.cat(model.seen)
    torch.testing.assert_close(shown[:, 0, 0, 0], 0.3 + 0.2 * expected)
    torch.testing.assert_close(shown[:, 0, 0, 1], 0.3 + 0.2 * expected)


def test_the_bias_is_bounded(brighter):
    model, image, label = brighter
    settings = {"iterations": 2, "final_steps": 0, "overshoot": 0.5, "backward_step": 0.2}
    run(model, image, label, Threat("l2", 0.5), FAB(bias=0.25, **settings), seed=0)
    # back to 0.2 · 1.5 = 0.3; both steps end 0.5 of their length beyond the boundary
    second = 0.75 * (0.3 + 1.5 * 0.7) + 0.25 * 1.5
    assert model.seen[4].flatten()[0].item() == pytest.approx(0.3 + 0.2 * second)


def test_the_last_line_is_cut_where_the_classes_meet(brighter):
    model, image, label = brighter
    sizes = [
        run(model, image, label, Threat("linf", 0.5), FAB(iterations=1, final_steps=cuts), seed=0)
        .perturbation_sizes.item()
        for cuts in (0, 1, 3)
    ]  # fmt: skip
    # 1.05 times the distance; each cut keeps a tenth of what is too much
    assert sizes == pytest.approx([0.2 * 1.05, 0.2 * 1.005, 0.2 * 1.00005], rel=1e-9)


def test_without_targets_the_nearest_of_all_classes_is_found(make_linear):
    """In L2 the third class is nearest though its logit is the smallest."""
    weights = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 9.0, 0.0]], dtype=torch.float64)
    model = make_linear(weights, torch.tensor([0.7, 0.0, -4.0], dtype=torch.float64)).eval()
    image = torch.tensor([[[[0.4, 0.4, 0.4]]]], dtype=torch.float64)
    assert model(image).argsort(1).tolist() == [[2, 1, 0]]
    result = run(model, image, torch.tensor([0]), Threat("l2", 1), FAB(iterations=5), seed=0)
    assert result.adversarial_predictions.tolist() == [2]
    assert result.perturbation_sizes.item() == pytest.approx(1.1 / 9, rel=1e-4)


@NORM
def test_a_target_behind_another_class_is_reached(norm, make_linear):
    """The straight way to the target leads into a third class: 0.2 more of a is not enough, b must fall."""
    weights = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    model = make_linear(weights, torch.tensor([0.5, 0.0, -0.2], dtype=torch.float64)).eval()
    image = torch.full((1, 1, 1, 2), 0.3, dtype=torch.float64)
    result = run(model, image, torch.tensor([0]), Threat(norm, 1.0), FAB(), seed=0, targets=torch.tensor([1]))
    exact = {"linf": 0.2, "l2": 0.05**0.5, "l1": 0.3}[norm]
    assert result.adversarial_predictions.tolist() == [1]
    assert exact * (1 - 1e-9) <= result.perturbation_sizes.item() <= 1.06 * exact


@pytest.mark.parametrize(("targets", "items", "boundaries"), [(None, 1, 2), ("every", 2, 1)])
def test_passes(targets, items, boundaries, setting):
    model, images, labels = setting
    attack = FAB(iterations=4, starts=2)
    result = run(
        model, images, labels, Threat("l2", 2), attack, seed=0, targets=targets, success=misclassified
    )
    assert result.success.all()
    # two a step, both ends of the last line and its cuts, last candidate; the clean image and the last check
    assert result.forwards.tolist() == [1 + items * (2 * 8 + 2 + 3 + 1) + 1] * 20
    assert result.backwards.tolist() == [items * 8 * boundaries] * 20


@NORM
def test_later_searches_start_near_the_image_and_never_make_it_worse(norm, setting):
    model, images, labels = setting
    threat, sizes = Threat(norm, LARGEST[norm]), []
    for starts in (1, 4):
        recorder = Recorder(model)
        result = run(recorder, images, labels, threat, FAB(iterations=8, starts=starts), seed=0)
        assert result.success.all()
        sizes.append(result.perturbation_sizes)
    one, several = sizes
    assert bool((several <= one * (1 + 1e-3)).all())  # the last line is another one
    assert bool((several < one * 0.999).any()) or norm == "linf"  # in which one search finds the best
    first, begin = (recorder.seen[k] - images for k in (1, 1 + 2 * 8))
    assert not first.any()
    lengths = NORMS[norm].size(begin)
    best = torch.stack([NORMS[norm].size(seen - images) for seen in recorder.seen[2 : 2 + 2 * 8 : 2]])
    predictions = torch.stack([model(seen).argmax(1) for seen in recorder.seen[2 : 2 + 2 * 8 : 2]])
    smallest = torch.where(predictions != labels, best, torch.inf).amin(0)
    assert bool((lengths <= smallest.clamp(max=threat.epsilon) / 2 * (1 + 1e-9)).all())
    assert bool((lengths > smallest / 20).all())
    third = (recorder.seen[1 + 4 * 8] - images).flatten(1)
    rays = torch.cat([begin.flatten(1), third]).sign()
    assert len(rays.unique(dim=0)) == 2 * len(images)


def test_later_searches_follow_the_seed(setting):
    model, images, labels = setting
    found = [
        run(model, images, labels, Threat("l2", 2), FAB(iterations=4, starts=3), seed=seed).perturbation_sizes
        for seed in (0, 0, 1)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_an_output_that_is_not_finite_leads_nowhere(brighter):
    _, image, label = brighter
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, dtype=torch.float64)).eval()
    nn.init.constant_(model[1].weight, torch.nan)
    result = run(model, image, label, Threat("l2", 0.5), FAB(iterations=2, starts=2), seed=0)
    assert not result.success.any()
    assert result.adversarial_inputs.isfinite().all()


def test_settings_are_checked():
    assert FAB(iterations=7, starts=3).steps == 21
    for wrong in ({"iterations": 0}, {"starts": 0}, {"backward_step": 1.0}, {"bias": 1.1}, {"steps": 5}):
        with pytest.raises(pydantic.ValidationError):
            FAB(**wrong)

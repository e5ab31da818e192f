"""The full evaluation: as strong as what it is made of; each verdict its own, whoever the neighbours are."""

from collections.abc import Callable
from math import inf

import pytest
import torch
from torch import Tensor, nn

from foolscope.attacks import APGD, Square, evaluate_robustness, misclassified, run
from foolscope.attacks.evaluation import cascade
from foolscope.attacks.evaluation.stages import AttackStage, evaluation_stages
from foolscope.core.errors import ThreatError
from foolscope.threats import Threat


def digits_network(seed: int = 0, classes: int = 10) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, classes))
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    return network.eval()


def images_with_labels(network: nn.Module, count: int = 40) -> tuple[Tensor, Tensor]:
    """Images that the network gets right, but for every eighth."""
    images = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = network(images).argmax(1)
    labels[::8] = (labels[::8] + 1) % 10
    return images, labels


@pytest.fixture(autouse=True)
def short_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of sixteen pixels need fewer queries than photographs."""
    for name in ("BLACK_BOX", "BLACK_BOX_SAMPLE"):
        monkeypatch.setattr(cascade, name, AttackStage("square", Square(steps=200)))


NETWORK = digits_network()
IMAGES, LABELS = images_with_labels(NETWORK)


def linear(weights: Tensor) -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.Linear(weights.shape[1], weights.shape[0], bias=False))
    model[1].weight.data = weights
    return model.eval()


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2), ("l1", inf)])
def test_a_linear_model_keeps_what_its_closed_form_says(norm: str, dual: float) -> None:
    weights = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    model = linear(weights)
    images = 0.5 + 0.02 * torch.randn(60, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    logits = model(images).detach()
    labels = logits.argmax(1)
    gaps = logits.gather(1, labels[:, None]) - logits
    lengths = torch.linalg.vector_norm(weights[labels][:, None] - weights[None], ord=dual, dim=2)
    exact = torch.where(gaps > 0, gaps / lengths, inf).amin(1)  # far from the bounds of a pixel
    budgets = exact.quantile(torch.tensor([0.2, 0.5, 0.8])).tolist()
    curve = evaluate_robustness(model, images, labels, norm, budgets, seed=0)
    for budget, robust in zip(budgets, curve.robust_accuracies, strict=True):
        # What is exact cannot be beaten, and nothing is missed by more than one per cent.
        assert (exact > budget).double().mean() <= robust + 1e-9
        assert robust <= (exact > budget / 1.01).double().mean() + 1e-9


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_never_weaker_than_a_long_attack_on_its_own(norm: str) -> None:
    budget = {"linf": 0.05, "l2": 0.15, "l1": 0.4}[norm]
    alone = run(
        NETWORK,
        IMAGES,
        LABELS,
        Threat(norm, budget),
        APGD(steps=100, loss="margin"),
        seed=3,
        targets="every",
        success=misclassified,
    )
    together = evaluate_robustness(NETWORK, IMAGES, LABELS, norm, [budget], seed=0)
    assert 0.05 < together.robust_accuracies[0] < 0.9
    assert together.robust_accuracies[0] <= alone.robust_accuracy


def test_every_stored_image_is_allowed_and_fools() -> None:
    curve = evaluate_robustness(NETWORK, IMAGES, LABELS, "l2", [0.05, 0.1, 0.2], seed=0)
    fooled = curve.smallest_found.isfinite()
    sizes = (curve.adversarial_inputs - IMAGES).flatten(1).norm(dim=1)
    assert torch.allclose(sizes[fooled], curve.smallest_found[fooled], atol=1e-5)
    assert bool((NETWORK(curve.adversarial_inputs).argmax(1) != LABELS)[fooled].all())
    assert torch.equal(curve.adversarial_logits[fooled], NETWORK(curve.adversarial_inputs[fooled]).detach())
    assert curve.adversarial_inputs.min() >= 0
    assert curve.adversarial_inputs.max() <= 1


def test_the_verdict_depends_neither_on_batch_size_nor_on_neighbours() -> None:
    def verdicts(rows: Tensor, batch_size: int) -> Tensor:
        curve = evaluate_robustness(
            NETWORK, IMAGES[rows], LABELS[rows], "l1", [0.2, 0.4], seed=0, indices=rows, batch_size=batch_size
        )
        return curve.smallest_found

    everything = torch.arange(40)
    whole = verdicts(everything, 256)
    torch.testing.assert_close(verdicts(everything, 7), whole, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        verdicts(everything[::3].flip(0), 256), whole[::3].flip(0), rtol=1e-5, atol=1e-6
    )


def test_several_budgets_agree_with_each_alone_and_never_rise() -> None:
    budgets = [0.1, 0.3, 0.5, 0.8]  # in L1, where no search without gradients takes its time
    together = evaluate_robustness(NETWORK, IMAGES, LABELS, "l1", budgets, seed=0).robust_accuracies
    assert list(together) == sorted(together, reverse=True)
    for budget, accuracy in zip(budgets, together, strict=True):
        alone = evaluate_robustness(NETWORK, IMAGES, LABELS, "l1", [budget], seed=0).robust_accuracies[0]
        assert accuracy == pytest.approx(alone, abs=1 / 40 + 1e-9)


def test_without_a_budget_it_is_the_clean_accuracy() -> None:
    curve = evaluate_robustness(NETWORK, IMAGES, LABELS, "linf", [0], seed=0)
    assert curve.robust_accuracies == (curve.clean_accuracy,) == (35 / 40,)
    assert torch.equal(curve.adversarial_inputs, IMAGES)


@pytest.mark.parametrize("count", [0, 1])
def test_few_images_and_two_classes(count: int) -> None:
    network = digits_network(classes=2)
    images = IMAGES[:count]
    labels = network(images).argmax(1)
    assert len(evaluate_robustness(network, images, labels, "l2", [0.1, 3], seed=0).labels) == count


def test_no_budget_is_refused() -> None:
    with pytest.raises(ThreatError, match="needs a budget"):
        evaluate_robustness(NETWORK, IMAGES, LABELS, "linf", [], seed=0)


def test_taken_up_where_it_stopped_it_ends_the_same() -> None:
    saved: list[dict[str, Tensor]] = []

    def save(tensors: object) -> None:
        assert isinstance(tensors, dict)
        saved.append({name: value.clone() for name, value in tensors.items()})

    arguments = (NETWORK, IMAGES, LABELS, "linf", [0.03, 0.06])
    whole = evaluate_robustness(*arguments, seed=0, save=save)
    assert len(saved) > 3
    for state in (saved[len(saved) // 2], saved[-1]):  # the last: right after the search of a sample
        again = evaluate_robustness(*arguments, seed=0, saved=state)
        assert torch.equal(again.smallest_found, whole.smallest_found)
        assert torch.equal(again.adversarial_inputs, whole.adversarial_inputs)
        assert torch.equal(again.fooled_by, whole.fooled_by)
        assert again.checks == whole.checks
        assert (again.forward_count, again.backward_count) == (whole.forward_count, whole.backward_count)


def test_no_time_leaves_images_standing_and_says_so() -> None:
    curve = evaluate_robustness(NETWORK, IMAGES, LABELS, "linf", [0.06], seed=0, time_budget_seconds=1e-9)
    assert curve.unfinished == 35
    assert curve.robust_accuracies == (curve.clean_accuracy,)
    assert "time was up before 35 images" in curve.doubts[0]
    assert (
        evaluate_robustness(
            NETWORK, IMAGES, LABELS, "linf", [0.06], seed=0, time_budget_seconds=1e9
        ).unfinished
        == 0
    )


def test_rounded_images_fool_as_files() -> None:
    images = (IMAGES * 255).round() / 255
    curve = evaluate_robustness(NETWORK, images, LABELS, "linf", ["8/255"], seed=0, levels=255)
    fooled = curve.smallest_found.isfinite() & (curve.smallest_found > 0)
    assert int(fooled.sum()) > 5
    gray = curve.adversarial_inputs[fooled] * 255
    assert torch.allclose(gray, gray.round(), atol=1e-3)
    as_files = gray.round().to(torch.uint8).float() / 255
    assert bool((NETWORK(as_files).argmax(1) != LABELS[fooled]).all())
    assert bool(((as_files - images[fooled]).abs().amax((1, 2, 3)) <= 8 / 255 + 1e-6).all())


def test_a_surrogate_that_is_weaker_finds_nothing_new_and_one_that_sees_through_does() -> None:
    class Steps(nn.Module):
        """Constant but for jumps: no gradient leads anywhere."""

        def forward(self, images: Tensor) -> Tensor:
            logits = NETWORK(images)
            return (logits * 64).round() / 64

    curve = evaluate_robustness(Steps(), IMAGES, LABELS, "linf", [0.06], seed=0, surrogate=NETWORK)
    taken = dict(zip(curve.attacks, curve.taken(0.06), strict=True))
    assert taken["transfer"] > 5
    assert taken["apgd"] + taken["apgd-long"] <= 2  # by their random starts


def test_the_last_stages_are_for_images_near_the_boundary() -> None:
    stages = evaluation_stages("l2", [0.1], 9)
    assert [stage.max_margin_ratio for stage in stages] == sorted(
        (stage.max_margin_ratio for stage in stages), reverse=True
    )
    assert evaluation_stages("l2", [0.1, 0.2], 9)[0].attack.stops_at_success is False


class Amplified(nn.Module):
    """Logits so large that single precision rounds every probability to 0 or 1."""

    def forward(self, images: Tensor) -> Tensor:
        return 1e4 * NETWORK(images)


class Quantized(nn.Module):
    """Inputs rounded to eight levels."""

    def forward(self, images: Tensor) -> Tensor:
        return NETWORK((images * 7).round() / 7)


class RandomResize(nn.Module):
    """Another brightness and shift at every call, as in a random resize and padding."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, images: Tensor) -> Tensor:
        side = 3 + int(torch.randint(3, (1,), generator=self.generator))
        small = nn.functional.interpolate(images, size=(side, side), mode="bilinear")
        return NETWORK(nn.functional.interpolate(small, size=(4, 4), mode="bilinear"))


class DeadUnits(nn.Module):
    """Units that have long left the range in which they answer: steep clamps to 0 or 1."""

    def forward(self, images: Tensor) -> Tensor:
        return NETWORK(((images - 0.5) * 1e6 + 0.5).clamp(0, 1))


class Probabilities(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return NETWORK(images).softmax(1)


class NotFinite(nn.Module):
    """The gradient of the square root at 0."""

    def forward(self, images: Tensor) -> Tensor:
        return NETWORK(images) + 0 * (images - images.detach()).abs().sqrt().flatten(1).sum(1, keepdim=True)


class Shattered(nn.Module):
    """A ripple too fine to matter, whose slope hides the way."""

    def forward(self, images: Tensor) -> Tensor:
        return NETWORK(images + 2e-3 * torch.sin(images * 3e4))


@pytest.mark.parametrize(
    ("defence", "signs"),
    [
        (Amplified, {"vanished cross-entropy"}),
        (Quantized, {"zero gradients", "unbounded attack fails"}),
        (RandomResize, {"random outputs", "random gradients"}),
        (DeadUnits, {"zero gradients", "unbounded attack fails"}),
        (Probabilities, {"probability outputs"}),
        (NotFinite, {"gradients not finite"}),
        (Shattered, {"black box beats white box"}),
    ],
)
def test_a_planted_defence_is_flagged(defence: Callable[[], nn.Module], signs: set[str]) -> None:
    model = defence().eval()
    images = IMAGES[:16]
    labels = model(images).argmax(1)
    curve = evaluate_robustness(model, images, labels, "linf", [0.06], seed=0)
    fired = {check.name for check in curve.checks if check.fired}
    assert signs <= fired
    serious = [check for check in curve.checks if check.fired and check.is_serious]
    assert len(serious) <= len(curve.doubts)


def test_a_search_draws_by_the_names_of_images_not_by_their_places() -> None:
    """Where the gradients are hidden everything is searched, and only that finds anything here."""
    model = Quantized()
    images, labels = IMAGES[:24], Quantized()(IMAGES[:24]).argmax(1)

    def found(rows: Tensor) -> Tensor:
        curve = evaluate_robustness(model, images[rows], labels[rows], "linf", [0.2], seed=0, indices=rows)
        return curve.adversarial_inputs

    everything = torch.arange(24)
    whole = found(everything)
    assert not torch.equal(whole, images)
    assert torch.equal(found(everything[1::2].flip(0)), whole[1::2].flip(0))


class ShatteredNearby(nn.Module):
    """Shattered around the images, so that only attacks with small budgets lose their way."""

    def forward(self, images: Tensor) -> Tensor:
        near = (images.flatten(1)[:, None] - IMAGES.flatten(1)).abs().amax(2).amin(1) < 0.1
        ripple = near[:, None, None, None] * 2e-3 * torch.sin(images * 3e4)
        return NETWORK(images + ripple)


def test_what_the_search_of_a_sample_finds_has_every_image_searched() -> None:
    """Nothing else makes this model suspicious, so that only the sample's images can ask for the others."""
    model = ShatteredNearby().eval()
    labels = model(IMAGES).argmax(1)
    curve = evaluate_robustness(model, IMAGES, labels, "linf", [0.06], seed=0)
    fired = {check.name: check for check in curve.checks if check.fired and check.is_serious}
    assert set(fired) == {"black box beats white box"}
    found = dict(zip(curve.attacks, curve.taken(0.06), strict=True))["square"]
    left = found + round(curve.robust_accuracies[0] * len(IMAGES))
    assert 0 < found < left
    assert fired["black box beats white box"].value == pytest.approx(found / left)  # each image once


def test_a_plain_model_is_not_flagged() -> None:
    curve = evaluate_robustness(NETWORK, IMAGES, LABELS, "linf", [0.06], seed=0)
    assert [check.name for check in curve.checks if check.fired] == []
    assert curve.doubts == ()


def test_train_mode_is_flagged_and_restored() -> None:
    model = digits_network().train()
    curve = evaluate_robustness(model, IMAGES, LABELS, "linf", [0.06], seed=0)
    assert [check.name for check in curve.checks if check.fired] == ["train mode"]
    assert model.training

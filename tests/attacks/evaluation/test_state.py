"""What an evaluation remembers about each image."""

import torch
from torch import Tensor

from foolscope.attacks.evaluation.state import EvaluationState


def state_of(margins: Tensor) -> EvaluationState:
    """Images of class 0 of two, with these leads over class 1."""
    logits = torch.stack([margins, torch.zeros_like(margins)], 1)
    images, labels = torch.zeros(len(margins), 1, 2, 2), torch.zeros(len(margins), dtype=torch.int64)
    return EvaluationState.start(images, labels, logits, 1)


def test_near_the_boundary_is_where_little_is_left_of_what_was_taken() -> None:
    """Of a lead of 6, attacks have left 1, 2, 3, 4 and 6: 1/5, 1/2, 1, 2 and ∞ times what they took."""
    state = state_of(torch.full((5,), 6.0))
    state.smallest_margins = torch.tensor([1.0, 2.0, 3.0, 4.0, 6.0])
    labels = torch.zeros(5, dtype=torch.int64)
    near = {ratio: int(state.near_boundary(labels, ratio).sum()) for ratio in (0.19, 0.21, 0.6, 1.1, 2.1)}
    assert near == {0.19: 0, 0.21: 1, 0.6: 2, 1.1: 3, 2.1: 4}
    assert bool(state.near_boundary(labels, torch.inf).all())


def test_an_image_is_attacked_at_the_largest_budget_that_it_holds() -> None:
    state = state_of(torch.ones(5))
    state.smallest_found = torch.tensor([0.0, 0.1, 0.15, 0.4, torch.inf])
    budgets = state.budgets(torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(budgets, torch.tensor([0.0, 0.0, 0.1, 0.3, 0.3]))


def test_a_misclassified_image_needs_no_attack() -> None:
    state = state_of(torch.tensor([1.0, -1.0]))
    assert state.smallest_found.tolist() == [torch.inf, 0.0]
    assert state.forward_count == 2


def test_what_was_saved_is_resumed() -> None:
    state = state_of(torch.ones(3))
    state.count_passes(10, 4)
    state.late_count, state.black_box_found, state.black_box_searched = 1, 2, 5
    state.next_stage[1] = 3
    again = EvaluationState.resumed(state.tensors(), torch.device("cpu"))
    counts = (again.late_count, again.black_box_found, again.black_box_searched)
    assert (again.forward_count, again.backward_count, *counts) == (13, 4, 1, 2, 5)
    assert again.next_stage.tolist() == [0, 3, 0]
    assert torch.equal(again.clean_logits, state.clean_logits)

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.inspections.methods import methods_from
from foolscope.experiments.parts.inspections.model import PARTS, inspect_subject
from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.subjects.subject import Subject
from foolscope.inspection.attribution.edges import edges
from foolscope.models import LSTM, PrototypeTree, build_model

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(30, 1, 6, 5, generator=GENERATOR)


class Known(nn.Module):
    """Says class 1 where the first pixel is bright, sure to 3/4, and NaN where the last is."""

    def __init__(self, brightest: float) -> None:
        super().__init__()
        self.brightest = brightest

    def forward(self, images: Tensor) -> Tensor:
        sure = torch.log(torch.tensor(3.0))
        first = (images[:, 0, 0, 0] > 0.5).float() * sure
        broken = images[:, 0, -1, -1] > self.brightest
        logits = torch.stack([sure - first, first], dim=1)
        return torch.where(broken[:, None], torch.nan, logits) + 0 * images.sum((1, 2, 3))[:, None]


def subject_of(model, images=IMAGES, labels=None):
    labels = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    return Subject("net", {"model": "net", "split": "test"}, "", model, images, labels, ("dark", "bright"))


def inspected(subject, parts=None, **more):
    return inspect_subject(subject, parts, seed=0, tell=lambda done, detail: None, **more)


def test_answers_of_a_model_that_is_known():
    bright = int((IMAGES[:, 0, 0, 0] > 0.5).sum())
    record = inspected(subject_of(Known(2.0)), ["confusion", "calibration"])[0]
    assert record.confusion.counts == [[30 - bright, bright], [0, 0]]
    assert record.accuracy == pytest.approx(1 - bright / 30)
    (filled,) = [each for each in record.calibration.bins if each.images]
    assert (filled.low, filled.high, filled.images) == (pytest.approx(11 / 15), pytest.approx(12 / 15), 30)
    assert filled.accuracy_low < filled.accuracy < filled.accuracy_high
    assert record.calibration.expected_error == pytest.approx(abs(record.accuracy - 0.75), abs=1e-6)
    assert 0 < record.calibration.expected_by_chance < record.calibration.highest_by_chance
    assert record.filters is None
    assert record.weights == record.flow == record.spectra == []


def test_images_without_a_finite_answer_are_skipped_and_counted():
    lost = int((IMAGES[:, 0, -1, -1] > 0.7).sum())
    record = inspected(subject_of(Known(0.7)))[0]
    assert record.images == 30 - lost
    assert record.doubts[0] == f"{lost} of 30 images have logits that are not finite; they are skipped."
    assert "miss completeness by more than 5 % on" in record.doubts[1]  # the logit jumps, without a gradient
    assert record.input_gradients.counted == 0
    assert record.input_gradients.own is None
    with pytest.raises(RecipeError, match="no finite logits for any of 30 images"):
        inspected(subject_of(Known(-1.0)))


def test_a_unit_that_looks_for_edges_is_seen_to_trace_them():
    class Edges(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            with torch.no_grad():
                slope = edges(images)[:, None]  # the gradient by each pixel is the edge there
            return torch.cat(
                [(slope * images).sum((1, 2, 3))[:, None] / 100, images.new_zeros(len(images), 1)], 1
            )

    record, arrays = inspected(subject_of(Edges()), ["input-gradients"])
    found = record.input_gradients
    assert found.own.mean == pytest.approx(1, abs=1e-5)
    assert found.difference.low > 0.5
    assert found.difference.mean == pytest.approx(found.own.mean - found.other.mean)
    for picture in (*found.right, *found.wrong):
        np.testing.assert_allclose(arrays[picture.gradient], arrays[picture.edges], atol=1e-5)
    assert len(found.right) == 4


def test_every_part_of_a_recurrent_model_is_kept_and_read_back():
    model = build_model(LSTM(hidden=4, normalization="none"), (1, 6, 5), 2, seed=0)
    state = torch.get_rng_state()
    record, _ = inspected(subject_of(model))
    assert torch.equal(torch.get_rng_state(), state)
    assert ModelInspection.model_validate(json.loads(record.model_dump_json())) == record
    assert len(record.time_flow.hidden) == len(record.time_flow.cell) == 6
    assert [each.layer for each in record.flow if each.weight_norm is not None] == [
        "body.1.weight_ih_l0",
        "body.1.weight_hh_l0",
        "body.3",
    ]
    assert [each.layer for each in record.weights] == [
        each.layer for each in record.flow if each.relative_norm is not None
    ]
    assert record.notes[0] == "Grad-CAM needs a convolution, and the model shows none; it is skipped."
    assert "not pictures" in record.notes[1]
    assert inspected(subject_of(model))[0] == record


def test_filters_are_the_strongest_ones():
    model = nn.Sequential(nn.Flatten(), nn.Linear(30, 40), nn.Linear(40, 2))
    directions = nn.functional.normalize(model[1].weight.data)
    model[1].weight.data = (torch.arange(40.0)[:, None] + 1) * directions
    record, arrays = inspected(subject_of(model), ["filters"])
    found = record.filters
    assert (found.total, [each.unit for each in found.shown]) == (40, list(range(16, 40)))
    for each in found.shown:
        weights = model[1].weight[each.unit].detach()
        np.testing.assert_array_equal(arrays[each.key], weights.view(1, 6, 5))
        assert each.norm == pytest.approx(float(weights.norm()))


def test_torchs_own_recurrence_and_missing_weights_are_said():
    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(5, 2, batch_first=True)

        def forward(self, images: Tensor) -> Tensor:
            return self.gru(images[:, 0])[0][:, -1]

    record = inspected(subject_of(Foreign()), ["gradient-flow"])[0]
    assert record.time_flow is None
    assert "recurrent layers do not" in record.notes[0]
    assert "its weights" in inspected(subject_of(Known(2.0)), ["histograms"])[0].notes[0]


def test_an_unknown_part_is_one_line():
    with pytest.raises(RecipeError, match="Did you mean 'filters'"):
        inspected(subject_of(Known(2.0)), ["filter"])
    assert set(PARTS) >= {"confusion", "spectrum"}


def test_maps_of_right_and_wrong_images_are_those_of_each_method():
    model = nn.Sequential(nn.Flatten(), nn.Linear(30, 2))
    labels = torch.arange(30) % 2
    record, arrays = inspected(subject_of(model, labels=labels), ["attributions"])
    found = record.attributions
    assert [each.method for each in found.methods] == [
        "gradient",
        "smoothgrad",
        "integrated-gradients",
        "occlusion",
    ]
    predictions = model(IMAGES).argmax(1)
    is_right = (predictions == labels).numpy()
    places = [*np.flatnonzero(is_right)[:4], *np.flatnonzero(~is_right)[:4]]
    assert [each.image for each in (*found.right, *found.wrong)] == [
        f"attribution-{place}-image" for place in places
    ]
    names = ("dark", "bright")
    for place, each in zip(places, (*found.right, *found.wrong), strict=True):
        assert (each.label, each.predicted) == (names[labels[place]], names[predictions[place]])
        weights = model[1].weight[predictions[place]].detach().view(6, 5)
        for method, expected in (
            ("gradient", weights),
            ("smoothgrad", weights),
            ("integrated-gradients", weights * IMAGES[place, 0]),
        ):
            largest = np.quantile(expected.abs().numpy(), 0.99)
            shown = arrays[each.maps[method]]
            np.testing.assert_allclose(shown, (expected / largest).clamp(-1, 1), atol=1e-4)
    outlines, strengths = edges(IMAGES).flatten(1), model[1].weight[predictions].detach().abs()
    own = [np.corrcoef(*pair)[0, 1] for pair in zip(strengths.numpy(), outlines.numpy(), strict=True)]
    gradient, smooth, integrated, _ = found.methods
    assert gradient.own.mean == pytest.approx(np.mean(own), abs=1e-5)
    assert smooth.own.mean == pytest.approx(gradient.own.mean, abs=1e-5)
    assert gradient.difference.mean == pytest.approx(gradient.own.mean - gradient.other.mean)
    assert (integrated.completeness.above, integrated.completeness.mean_steps) == (0, 32)
    assert integrated.completeness.largest_error < 1e-4
    assert gradient.completeness is None


def test_methods_that_are_asked_for_must_apply_and_others_are_noted():
    subject = subject_of(nn.Sequential(nn.Flatten(), nn.Linear(30, 2)))
    with pytest.raises(RecipeError, match="Grad-CAM needs a convolution"):
        inspected(subject, ["attributions"], methods=methods_from(["grad-cam"]))
    record = inspected(subject, ["attribution-sanity"], methods=methods_from(["gradient"]))[0]
    assert [each.method for each in record.attribution_sanity.methods] == ["gradient"]
    assert record.notes == []
    weightless = inspected(subject_of(Known(2.0)), ["attribution-sanity"])[0]
    assert weightless.attribution_sanity is None
    assert "exposes no weights" in weightless.notes[-1]


def test_maps_do_not_depend_on_images_that_are_skipped():
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(1, 2, 3)

        def forward(self, images: Tensor) -> Tensor:
            lost = images[:, 0, 0, 0] > 2
            return torch.where(lost[:, None], torch.nan, self.maps(images).tanh().mean((2, 3)))

    model = Broken()
    images = IMAGES.clone()
    images[0] = 3.0
    whole = inspected(subject_of(model), ["attributions"])[1]
    fewer = inspected(subject_of(model, images), ["attributions"])
    assert fewer[0].images == 29
    shared = [
        (each.maps["smoothgrad"], f"attribution-{place + 1}-smoothgrad")
        for place in range(29)
        for each in (*fewer[0].attributions.right, *fewer[0].attributions.wrong)
        if each.image == f"attribution-{place}-image" and f"attribution-{place + 1}-smoothgrad" in whole
    ]
    assert shared
    for mine, theirs in shared:
        np.testing.assert_allclose(fewer[1][mine], whole[theirs], atol=1e-6)


@pytest.mark.parametrize(
    ("methods", "words"),
    [
        (["smoothgradient"], "unknown attribution method 'smoothgradient'. Did you mean 'smoothgrad'"),
        ([{"name": "occlusion", "path": 4}], "occlusion: unknown field 'path'. Did you mean 'patch'"),
        (
            [{"name": "smoothgrad", "samples": 0}],
            "smoothgrad: samples: input should be greater than or equal",
        ),
        (["gradient", {"name": "gradient"}], "'gradient' is given twice"),
    ],
)
def test_methods_that_make_no_sense_are_one_line(methods, words):
    with pytest.raises(RecipeError) as caught:
        methods_from(methods)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_a_prototype_tree_has_a_tree_and_it_is_shown_unasked():
    images, labels = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2
    tree = build_model(
        PrototypeTree(channels=(2,), features=2, depth=2, normalization="none"), (1, 8, 8), 2, seed=0
    )
    record, arrays = inspected(subject_of(tree.eval(), images, labels))
    assert record.tree.decisions == 3
    assert {each.image for each in record.tree.nodes} <= set(arrays)
    plain = subject_of(Known(2.0))
    assert inspected(plain, ["tree"])[0].notes == ["The model has no prototype tree."]
    unasked = inspected(plain)[0]
    assert unasked.tree is None
    assert "The model has no prototype tree." not in unasked.notes

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.inspection.answers.calibration import Calibration, CalibrationBin
from foolscope.inspection.answers.confusion import Confusion
from foolscope.inspection.answers.modes import ModeDifference, ModeLayer
from foolscope.inspection.attribution.input_gradients import GradientPicture, InputGradients
from foolscope.inspection.attribution.means import Mean
from foolscope.inspection.gradients.gradient_flow import TimeFlow
from foolscope.inspection.gradients.layer_flow import LayerFlow
from foolscope.inspection.layers.filters import Filter, Filters
from foolscope.inspection.layers.spectrum import LayerSpectrum
from foolscope.inspection.layers.weights import WeightHistogram
from foolscope.reports import figures as draw
from foolscope.reports import render_html, render_markdown
from foolscope.reports.parts.inspections.answers import calibration_sentence, edges_sentence
from foolscope.reports.parts.inspections.inspection import inspection_document, inspection_sentences
from foolscope.reports.parts.inspections.layers import flow_sentence, spread, time_sentence, weights_sentence
from foolscope.reports.parts.inspections.modes import mode_sentence


def bins(*filled):
    """Ten bins, of which some have (images, confidence, accuracy)."""
    known = {round(confidence * 10 - 0.5): rest for rest in filled for confidence in [rest[1]]}
    records = []
    for place in range(10):
        images, confidence, accuracy = known.get(place, (0, None, None))
        low = None if accuracy is None else max(0.0, accuracy - 0.1)
        high = None if accuracy is None else min(1.0, accuracy + 0.1)
        records.append(
            CalibrationBin(
                low=place / 10,
                high=(place + 1) / 10,
                images=images,
                confidence=confidence,
                accuracy=accuracy,
                accuracy_low=low,
                accuracy_high=high,
            )
        )
    return records


def calibration(error=0.08, confidence=0.85, accuracy=0.77, highest=0.06):
    return Calibration(
        bins=bins((30, 0.55, 0.5), (70, 0.95, 0.85)),
        expected_error=error,
        expected_by_chance=0.04,
        highest_by_chance=highest,
        mean_confidence=confidence,
        accuracy=accuracy,
        negative_log_likelihood=0.3,
        brier_score=0.12,
    )


def mean(value, half=0.02):
    return Mean(mean=value, low=value - half, high=value + half)


def gradients(**more):
    picture = GradientPicture(
        label="cat", predicted="dog", image="i", gradient="g", edges="e", correlation=0.4
    )
    values = {
        "own": mean(0.5),
        "other": mean(0.3),
        "difference": mean(0.2),
        "right": [],
        "wrong": [picture],
    }
    return InputGradients(images=20, counted=18, **{**values, **more})


def weights(layer, near_zero):
    return WeightHistogram(
        layer=layer,
        count=9,
        largest=2.0,
        counts=[0, 1, 7, 1, 0],
        root_mean_square=1.0,
        zone=0.1,
        near_zero=near_zero,
    )


def flow(layer, output, relative=None):
    return LayerFlow(layer=layer, output_norm=output, weight_norm=relative, relative_norm=relative)


FLOW = [flow("images", 0.02), flow("conv", 0.5, 0.1), flow("relu", 0.7), flow("fc", 2.0, 0.0)]
ARRAYS = {
    "i": np.full((3, 4, 5), 0.5),
    "g": np.zeros((4, 5)),
    "e": np.ones((4, 5)),
    "f": np.arange(-4.0, 5.0).reshape(1, 3, 3),
}


def record(**more):
    return ModelInspection(
        name="net",
        facts={"model": "net.py:build", "dataset": "digits", "split": "test", "normalization": None},
        images=100,
        norm="linf",
        epsilon=0.01,
        accuracy=0.77,
        spectra=[],
        compression=[],
        **more,
    )


def whole():
    return record(
        confusion=Confusion(classes=["cat", "dog"], counts=[[40, 10], [13, 37]]),
        calibration=calibration(),
        input_gradients=gradients(),
        filters=Filters(
            layer="conv",
            kind="convolution",
            height=3,
            width=3,
            total=8,
            shown=[Filter(unit=5, key="f", norm=1.5)],
        ),
        weights=[weights("conv", 0.05), weights("fc", 0.4)],
        flow_images=100,
        flow=FLOW,
        time_flow=TimeFlow(hidden=[0.1, 0.5, 1.0], cell=None, spectral_norm=0.9),
        notes=["Something is not shown."],
        doubts=["It is near guessing."],
    ).model_copy(
        update={
            "spectra": [
                LayerSpectrum(
                    layer="fc",
                    rows=2,
                    columns=2,
                    singular_values=[2.0, 1.0],
                    effective_rank=1.9,
                    energy_rank=2,
                )
            ]
        }
    )


def test_every_part_has_its_section_and_every_format_takes_it():
    document = inspection_document(whole(), ARRAYS)
    titles = ["Mistakes", "Calibration", "Input gradients", "Filters", "Weights", "Gradient flow", "Spectra"]
    assert [section.title for section in document.sections] == titles
    page = render_html(document)
    for words in (
        "predicted dog",
        "the 1 of 8 units",
        "unit 5",
        "2 images without a gradient",
        "near guessing",
    ):
        assert words in page
    assert page.count("data:image/png") == 4
    assert "expected calibration error, 10 bins" in render_markdown(document)[0]


def test_what_was_not_inspected_has_no_section_and_lost_pixels_no_picture():
    assert inspection_document(record(), {}).sections == []
    assert inspection_sentences(record()) == ["Accuracy 77.0 % on 100 test images of digits."]
    document = inspection_document(record(filters=whole().filters, input_gradients=gradients()), {})
    assert [section.title for section in document.sections] == ["Input gradients"]
    assert "data:image/png" not in render_html(document)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"error": 0.05}, "with perfect calibration (mean 4.0, 95 % quantile 6.0"),
        (
            {},
            "8.0 points in 10 bins, above the 95 % quantile with perfect calibration, 6.0: the model is "
            "overconfident.",
        ),
        ({"confidence": 0.69}, "the model is underconfident."),
        ({"confidence": 0.78}, "overconfident in some bins and underconfident in others."),
    ],
)
def test_calibration_is_judged_against_chance(numbers, words):
    assert words in calibration_sentence(calibration(**numbers))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({}, "a difference of 0.20 (0.18 to 0.22) over 18 images: it traces edges."),
        ({"difference": mean(0.05)}, "it traces edges, but weakly."),
        ({"difference": mean(0.01)}, "it does not trace the image's own edges."),
        ({"difference": mean(-0.1)}, "it avoids the image's own edges."),
        ({"own": None}, "nothing can be correlated."),
        ({"other": None, "difference": None}, "0.50 (0.48 to 0.52) with the edges of its own image."),
    ],
    ids=["traces", "weakly", "not", "avoids", "flat", "alone"],
)
def test_edges_are_judged_against_another_image(numbers, words):
    assert edges_sentence(gradients(**numbers)).endswith(words)


MODES = {
    "images": 8,
    "companions": 15,
    "logit_deviation": 2.0,
    "layers": [ModeLayer(layer="3", kind="Dropout", training="sets activations to zero")],
    "evaluation_repeated": 0.0,
    "evaluation_companions": 1e-6,
    "training_repeated": 1.5,
    "training_companions": 1e-6,
    "between": 2.5,
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "differ by up to 2.5 from those in evaluation mode and depend on chance (Dropout); in evaluation",
        ),
        ({"training_companions": 0.7}, "depend on chance and on the other images of the batch"),
        ({"evaluation_companions": 0.3}, "in evaluation mode, too, they change, by up to 0.3"),
        ({"training_repeated": 0.0, "between": 1e-6}, "are the same in training and in evaluation mode"),
        ({"training_repeated": None, "training_companions": None, "between": None}, "were not compared"),
    ],
)
def test_modes_are_told_apart_beyond_rounding(changes, words):
    found = ModeDifference(**{**MODES, **changes})
    assert words in mode_sentence(found)
    document = inspection_document(record(modes=found), {})
    assert [section.title for section in document.sections] == ["Training and evaluation mode"]
    page = render_markdown(document)[0]
    assert "sets activations to zero" in page
    assert "the same batch twice" in page


def test_sentences_about_layers():
    said = weights_sentence([weights("conv", 0.05), weights("fc", 0.4)])
    assert "Between 5.0 % (conv) and 40.0 % (fc)" in said
    assert said.endswith("a spike at zero: fc.")
    assert "spike" not in weights_sentence([weights("conv", 0.15)])
    assert "0.01 times as large" in flow_sentence(record(flow=FLOW))
    assert "does not expose its layers" in flow_sentence(record(flow=FLOW[:1]))
    assert "no finite, nonzero gradient" in flow_sentence(record(flow=[flow("images", 0.0)]))
    steps = TimeFlow(hidden=[0.5, 1.0], cell=[0.25, 1.0], spectral_norm=2.0)
    assert "gradient at the first cell is 0.25 times" in time_sentence(steps)
    assert "zero or not finite" in time_sentence(steps.model_copy(update={"cell": [None, None]}))
    assert spread("abcde", 3) == ["a", "c", "e"]


def texts_of(svg):
    return [each.text for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_norms_of_layers_stand_on_log_scales_and_zeros_are_written():
    outputs, weights = (1e-4, 1e-2, 1.0, 0.0), (None, 1, 2, 3)
    svg = draw.layer_gradients(
        [flow(name, *norms) for name, *norms in zip("abcd", outputs, weights, strict=True)]
    )
    across = [
        float(x) for x in re.findall(r'<use href="[^"]*" x="([-\d.]+)" y="[^"]*" style="[^"]*series-1', svg)
    ]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.05)
    assert across[1] > across[0]
    assert len(across) == 3
    assert "0" in texts_of(svg)


def test_figures_need_something_to_draw():
    with pytest.raises(ValueError, match="at least one image"):
        draw.reliability(bins())
    with pytest.raises(ValueError, match="at least one layer"):
        draw.weight_histograms([])
    ElementTree.fromstring(
        draw.weight_histograms([weights("zeros", 1.0).model_copy(update={"largest": 0.0, "counts": [0]})])
    )
    assert "0" in texts_of(draw.layer_gradients([flow("deaf", 0.0)]))

"""The report of a study from a small record of made-up numbers."""

import html
import re

import numpy as np
import pytest

from foolscope.core.errors import StoreError
from foolscope.experiments.claims.records import ClaimRecord, FigureRecord, NoiseRecord
from foolscope.experiments.parts.ablation_record import AblationRecord, FactorRecord, LevelRecord
from foolscope.experiments.parts.attacks.records import CurveRecord
from foolscope.experiments.parts.checks import ChecksRecord
from foolscope.experiments.parts.mistakes import MistakesRecord
from foolscope.experiments.parts.pictures import GalleryRecord, PictureRecord
from foolscope.experiments.parts.table import PARTS
from foolscope.experiments.parts.training import TrainingRecord
from foolscope.experiments.study_record import StudyRecord
from foolscope.inspection.check import Check
from foolscope.reports import render_html, render_markdown
from foolscope.reports.document import Figure, Gallery, Table
from foolscope.reports.numbering import walk
from foolscope.reports.pages import read_pictures, study_document, write_study_report
from foolscope.reports.parts.ablations import ablation_document
from foolscope.reports.parts.effects import published_within_noise
from foolscope.reports.parts.training import training_document, training_figure

CLASSES = ["cat", "dog", "<b>owl"]


def training(recipe="mlp", seeds=(0, 1, 2), lost=()):
    per_seed = [None if place in lost else 0.91 + 0.01 * place for place in range(len(seeds))]
    spread = (0.89, 0.95) if len(seeds) > 1 and not lost else (None, None)
    mean = None if lost else 0.92
    quantities = ("running_loss", "running_accuracy", "validation_loss", "validation_accuracy")
    curve = [[0.5, None if place in lost else 0.8, None] for place in range(len(seeds))]
    metrics = ("test_accuracy", "validation_accuracy", "training_accuracy", "test_loss")
    return TrainingRecord(
        recipe=recipe,
        model="mlp",
        identities=[f"{recipe}{seed:04x}" for seed in seeds],
        seeds=list(seeds),
        parameter_count=4810,
        metrics=dict.fromkeys(metrics, per_seed),
        means=dict.fromkeys(metrics, (mean, *spread)),
        epochs=[1, 2, 3],
        curves=dict.fromkeys(quantities, curve),
        classes=CLASSES,
        confusion=[[9, 1, 0], [0, 8, 2], [0, 0, 0]],
        diverged=len(lost),
        duration_seconds=75.0,
    )


def level(label, outcome, difference=None, **more):
    known = difference is not None
    return LevelRecord(
        label=label,
        cell="baseline" if outcome == "baseline" else f"batch_size = {label}",
        values=[None, 0.9, None] if outcome == "diverged" else [0.9, 0.92, 0.94],
        mean=None if outcome == "diverged" else 0.92 + (difference or 0),
        low=None if outcome == "diverged" else 0.91,
        high=None if outcome == "diverged" else 0.93,
        outcome=outcome,
        sentence="" if outcome == "baseline" else f"The sentence of {label}.",
        difference=difference,
        difference_low=difference - 0.01 if known else None,
        difference_high=difference + 0.01 if known else None,
        p_different=0.0004 if known else None,
        p_equivalent=0.25 if known else None,
        **more,
    )


def ablation(**changes):
    batch = [
        level("16", "helps", 0.031),
        level("64", "baseline"),
        level("256", "hurts", -0.044),
        level("4096", "diverged"),
    ]
    l2 = [
        level("0", "baseline", published=0.9),
        level("0.01", "no effect", 0.001, published=0.903, published_difference=0.003, rests_on_noise=True),
        level("0.1", "undecided", -0.01, published=0.95, published_difference=0.05, rests_on_noise=False),
    ]
    factors = [
        FactorRecord(
            field="batch_size", words="batch size", baseline="64", levels=batch, summary="Batch size summary."
        ),
        FactorRecord(field="l2", words="L2 coefficient", baseline="0", levels=l2, summary="L2 summary."),
        FactorRecord(
            field="hidden",
            words="hidden width",
            baseline="100",
            levels=[level("50", "no effect", 0.0)],
            summary="Hidden summary.",
        ),
    ]
    record = AblationRecord(
        recipe="mlp",
        metric="test_accuracy",
        seeds=[0, 1, 2],
        practical_difference=0.005,
        factors=factors,
        residual_deviation=0.0064,
        degrees_of_freedom=12,
        minimum_detectable_effect=0.0158,
        doubts=["an ablation's doubt"],
        single_run_difference=0.0197,
    )
    return record.model_copy(update=changes)


def claim(sentence, outcome, **more):
    return ClaimRecord(
        sentence=sentence,
        outcome=outcome,
        reason=f"because of {sentence}; p < 0.001.",
        p_upheld=0.1,
        p_contradicted=0.2,
        seeds_needed=4,
        **{"doubts": [], **more},
    )


def curve(recipe, epsilons=(0.0, 8 / 255), norm="linf"):
    means = [0.92 - 0.5 * place for place in range(len(epsilons))]
    return CurveRecord(
        attack="linf",
        recipe=recipe,
        norm=norm,
        attacks=["fgsm", "pgd"],
        images=100,
        epsilons=list(epsilons),
        accuracies=[means],
        mean=means,
        low=[None] * len(epsilons),
        high=[None] * len(epsilons),
        doubts=[f"doubt about the attack on {recipe}"],
        forward_count=186_000,
        backward_count=950,
        settings=[{"name": "fgsm"}, {"name": "pgd", "steps": 20, "restarts": 5}],
    )


def galleries():
    triple = [
        PictureRecord(key="f-0-original", title="original", lines=["cat", "98.1%"]),
        PictureRecord(key="f-0-perturbation", title="perturbation", lines=["size 0.1"]),
        PictureRecord(key="f-0-fooling", title="fooling image", lines=["dog", "77.0 %"]),
    ]
    worst = [PictureRecord(key="w-0", title="cat", lines=["taken for dog, 95.3%"])]
    return [
        GalleryRecord(kind="fooling", recipe="mlp", caption="PGD, norm L∞.", rows=[triple]),
        GalleryRecord(kind="worst", recipe="mlp", caption="The worst.", rows=[worst]),
    ]


def parts_of(changes):
    fooling, worst = galleries()
    checks = [
        Check(recipe="mlp", check="loss", passed=True, sentence="As expected here.", numbers={"loss": 1.1}),
        Check(recipe="cnn", check="overfits", passed=False, sentence="Learns only half.", numbers={}),
    ]
    parts = {
        "training": [training(), training("cnn", lost=(1,))],
        "ablations": [ablation()],
        "checks": [ChecksRecord(checks=checks, range_tests=[])],
        "attacks": [curve("mlp"), curve("cnn")],
        "galleries": [fooling],
        "mistakes": [MistakesRecord(confusion=["mlp"], worst=[worst])],
    }
    return {**parts, **{name: records for name, records in changes.items() if name in PARTS}}


def study(**changes):
    """A study of made-up records; a part is changed by its name, and taken out by an empty list."""
    record = StudyRecord(
        name="tiny",
        title="A tiny study",
        question="Does it matter?",
        seeds=[0, 1, 2],
        practical_difference=0.005,
        classes=CLASSES,
        parts={name: records for name, records in parts_of(changes).items() if records},
        claims=[
            claim("Bigger is better", "upheld"),
            claim("L1 beats none", "undecided", published=0.514, source="A2, conclusion 1"),
            claim("It falls", "contradicted", source="B1", doubts=["a claim's doubt"]),
        ],
        recipes={"mlp": {"model": {"name": "mlp", "hidden": [64]}}},
        trial_count=30,
        provenance={
            "foolscope": "0.1.0",
            "torch": "2.9.0",
            "processor": "A processor",
            "threads": 2,
            "precision": ["bfloat16"],
            "training_seconds": 75.0,
            "datasets": [
                {
                    "name": "pets",
                    "counts": {"train": 20, "validation": 0, "test": 10},
                    "image_shape": [1, 8, 6],
                    "classes": CLASSES,
                    "fingerprint": "abc123",
                }
            ],
        },
        command="foolscope study tiny.toml --store 'my runs' --json",
        duration_seconds=80.0,
        finished="2026-03-05T08:17:13+00:00",
        study_file='name = "tiny"',
    )
    return record.model_copy(update={name: value for name, value in changes.items() if name not in PARTS})


def arrays():
    original = np.zeros((1, 8, 6), np.float32)
    return {"f-0-original": original, "f-0-fooling": original + 0.125, "w-0": np.ones((3, 8, 6), np.float32)}


def words(page):
    """What a person reads: no tags, one kind of space."""
    body = page[page.index("<body>") :]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).replace("\xa0", " ").split())


def read(record, pictures=None):
    return words(render_html(study_document(record, arrays() if pictures is None else pictures)))


@pytest.fixture(scope="module")
def report():
    return read(study())


def test_every_claim_is_shown_with_what_decided_it(report):
    for each in study().claims:
        assert f"{each.sentence}. {each.reason}" in report
    assert "Published: 0.514 (A2, conclusion 1). 3 seeds do not decide it" in report
    assert "Published: B1. 3 seeds contradict it. Doubt: a claim's doubt." in report
    assert "Of 3 claims tested, 1 is upheld, 1 is contradicted and 1 is undecided." in report
    assert (
        "Of 2 published statements among them, 3 seeds uphold 0, contradict 1 and leave 1 undecided."
        in report
    )


def test_every_verdict_of_the_ablation_is_shown(report):
    for sentence in ablation().sentences:
        assert sentence in report
    for factor in ablation().factors:
        assert factor.summary in report
    opening = report[: report.index("The classifiers Table")]
    assert (
        "batch size matters; hidden width stays within 0.5 points of the baseline; "
        "L2 coefficient is undecided." in opening
    )
    assert "matters Batch size summary. The sentence of 16. The sentence of 256." in opening
    assert "no effect Hidden summary. The largest difference is 0.0 points" in opening


def test_every_level_is_in_the_table_beside_the_baseline():
    table = next(
        block for block in walk(study_document(study(), {})) if getattr(block, "key", "") == "effects"
    )
    rows = [[getattr(cell, "value", cell) for cell in row] for row in table.rows]
    assert [row[1] for row in rows] == ["16", "64", "256", "4096", "0", "0.01", "0.1", "100", "50"]
    assert rows[0][2:] == ["95.1 (91.0 to 93.0)", "3.1 (2.1 to 4.1)", "< 0.001", "0.250", None, "helps"]
    assert rows[3][2:] == [None, None, None, None, None, "diverged"]
    assert rows[5][-2:] == ["90.3", "no effect"]
    assert rows[7][-1] == "baseline"  # the factor's own values leave it out


def test_only_published_differences_below_the_noise_of_single_runs_are_named(report):
    notice = re.search(r"up to 2 points .*? Published differences within that: (.*?)\.( |$)", report)
    assert notice[1] == "L2 coefficient 0.01 against 0 (0.3 points)"
    assert "One run each could not have shown them. Of these" not in report


def test_what_seeds_find_and_single_runs_could_not_is_said_too():
    record = ablation()
    batch, l2, hidden = record.factors
    changed = level("0.01", "hurts", -0.03, published=0.903, published_difference=0.003, rests_on_noise=True)
    levels = [l2.levels[0], changed, l2.levels[2]]
    more = level("64", "baseline", published=0.91)
    factors = [
        batch.model_copy(update={"levels": [batch.levels[0], more, *batch.levels[2:]]}),
        l2.model_copy(update={"levels": levels}),
        hidden,
    ]
    notice = published_within_noise(ablation(factors=factors))
    assert "Of these, 3 seeds do find that L2 coefficient 0.01 hurts." in notice
    assert "The baseline itself was published 2 times, at 90 to 91 %: 1 point apart" in notice
    assert published_within_noise(ablation(single_run_difference=None)) == ""


def noise(rests, sentence="The sentence about single runs."):
    return NoiseRecord(rests_on_noise=rests, sentence=sentence)


def test_claims_that_rested_on_noise_are_said_to_at_the_top():
    claims = [
        claim("One", "upheld", source="A", noise=noise(True, "First sentence.")),
        claim("Two", "undecided", source="A", noise=noise(True, "Second sentence.")),
        claim("Three", "undecided", source="A", noise=noise(False, "Third sentence.")),
        claim("Four", "upheld", published=1.0, noise=noise(None, "Fourth sentence."), figures=FIGURES),
    ]
    report = read(study(claims=claims))
    lead = report[: report.index("The claims, tested")]
    assert "2 of them rested on noise" in lead
    assert "Rested on noise: First sentence." in report
    assert "3 seeds do not decide it. Rested on noise: Second sentence." in report
    assert "3 seeds do not decide it. Third sentence." in report
    assert "Published: 100 %. Fourth sentence." in report
    assert "1 of them rested on noise" in read(study(claims=claims[:1]))


FIGURES = [
    FigureRecord(label="mlp", metric="training_accuracy", value=1.0, low=None, high=None, published=1.0)
]


def test_costs_and_rising_learning_rates_have_panels_of_their_own():
    plain = training()
    assert "Cost" not in training_figure(plain).drawing()
    curve = plain.curves["running_loss"]
    costs = {**plain.curves, "running_cost": curve, "validation_cost": curve}
    figure = training_figure(plain.model_copy(update={"curves": costs}))
    assert "The cost is the loss plus the penalty" in figure.caption
    assert ">Cost<" in figure.drawing()
    assert "Learning rate" not in figure.drawing()
    for rates, drawn in (([0.1, 0.2, 0.1], True), ([0.3, 0.2, 0.1], False)):
        curves = {**costs, "learning_rate": [rates] * 3}
        figure = training_figure(plain.model_copy(update={"curves": curves}))
        assert ("Learning rate" in figure.drawing()) == drawn
        assert ("learning rate is that of each epoch's last step" in figure.caption) == drawn


def test_every_doubt_and_every_failed_check_is_shown(report):
    assert "Doubt: an ablation's doubt." in report
    for recipe in ("mlp", "cnn"):
        assert f"Doubt about {recipe}: doubt about the attack on {recipe}." in report
    assert "cnn failed a check (overfits): Learns only half." in report


def test_diverged_trials_have_dashes_and_are_named(report):
    assert "Training diverged with some seeds for cnn." in report
    assert "cnn mlp 4,810 – – – 1 of 3 1 min 15 s" in report
    assert "Trials that diverged are skipped (1)." in report


def test_attacks_say_what_was_done(report):
    assert "withstands FGSM (a single gradient step) and PGD (20 gradient steps, 5 random starts)" in report
    assert "changes no pixel by more than 8/255 reduces the test accuracy to 42.0 % for mlp" in report
    assert "372 thousand forward and 1.9 thousand backward passes" in report
    assert "8/255 42.0 42.0" in report


def test_galleries_magnify_the_perturbation():
    blocks = list(walk(study_document(study(), arrays())))
    fooling, worst = (block for block in blocks if isinstance(block, Gallery))
    assert [panel.title for panel in fooling.rows[0]] == ["original", "perturbation", "fooling image"]
    assert fooling.rows[0][1].lines == ["size 0.1", "magnified × 4"]
    np.testing.assert_allclose(fooling.rows[0][1].image, 1.0, atol=1e-6)
    assert fooling.rows[0][2].lines == ["dog", "77.0 %"]
    assert fooling.caption.startswith("PGD, norm L∞.")
    assert worst.rows[0][0].title == "label cat"


def test_mistakes_are_named_and_classes_without_images_left_out(report):
    assert "most accurate on “cat”, 90.0 %, and least accurate on “dog”, 80.0 %" in report
    assert "most frequent of the 3 mistakes that mlp makes on 20 test images" in report
    assert "dog <b>owl 2 20.0" in report
    assert "Confusion matrix of cnn" not in report


def test_the_colophon_says_how_to_do_it_again(report):
    colophon = report[report.rindex("How this was made") :]
    for piece in (
        "5 March 2026 at 08:17 UTC in 1 min 20 s",
        "foolscope study tiny.toml",
        "foolscope report tiny --store 'my runs' #",
        "foolscope 0.1.0 and PyTorch 2.9.0",
        "A processor, 2 threads",
        "Precision: bfloat16",
        "Seeds: 0 to 2",
        "pets, 20 training and 10 test images of 1 × 8 × 6, 3 classes; SHA-256 abc123",
        'name = "tiny"',
        "[recipes.mlp.model]",
        "mlp0002",
    ):
        assert piece in colophon


def test_sections_without_content_are_left_out():
    bare = study(ablations=[], checks=[], attacks=[], galleries=[], mistakes=[], claims=[])
    document = study_document(bare, {})
    assert [section.title for section in document.sections] == ["The classifiers"]
    page = read(bare)
    assert "claim" not in page
    assert "attack" not in page


def test_galleries_whose_pixels_are_lost_are_left_out():
    blocks = list(walk(study_document(study(), {})))
    assert not [block for block in blocks if isinstance(block, Gallery)]


def test_one_seed_has_no_intervals():
    record = study(
        seeds=[0], training=[training(seeds=(0,))], ablations=[], claims=[], attacks=[curve("mlp")]
    )
    page = read(record)
    assert "The test accuracy of mlp is 92.0 %." in page
    assert "there are no intervals" in page
    assert "95 % interval" not in page
    assert "One model of mlp was attacked on the first 100 test images." in page


def test_a_study_in_which_everything_diverged():
    lost = training(lost=(0, 1, 2)).model_copy(update={"metrics": {}, "means": {}, "confusion": []})
    page = read(study(training=[lost], ablations=[], attacks=[], galleries=[], mistakes=[], claims=[]))
    assert "Training diverged with some seeds for mlp." in page
    assert "3 of 3" in page


def test_several_ablations_and_other_metrics_have_their_own_tables():
    loss = ablation(metric="validation_loss", recipe="cnn", residual_deviation=None)
    document = study_document(study(ablations=[ablation(), loss]), {})
    keys = [block.key for block in walk(document) if isinstance(block, Table | Figure)]
    assert {"effects-0", "effects-1", "ablation-0", "ablation-1"} <= set(keys)
    page = words(render_html(document))
    assert "Among the settings of cnn for its validation loss" in page
    assert "0.92 (0.91 to 0.93)" in page


def test_a_hundred_classes():
    counts = (np.eye(100, dtype=int) * 9 + np.eye(100, k=1, dtype=int)).tolist()
    names = [f"name {place}" for place in range(100)]
    large = training().model_copy(update={"confusion": counts, "classes": names})
    page = read(study(training=[large], classes=names))
    assert "most frequent of the 99 mistakes" in page
    assert "guessing would reach 1 %" in page


@pytest.mark.parametrize(
    ("norm", "said"),
    [("l2", "moves an image by at most 0.5 in the L2 norm"), ("l1", "changes the pixels by at most 0.5")],
)
def test_other_norms_are_put_into_words(norm, said):
    assert said in read(study(attacks=[curve("mlp", (0.0, 0.5), norm)]))


def test_the_report_needs_no_network_and_is_the_same_every_time():
    pages = [render_html(study_document(study(), arrays())) for _ in range(2)]
    assert pages[0] == pages[1]
    assert not re.search(r'(?:src|href)="(?!#|data:)', pages[0])
    assert "http" not in re.sub(r"data:[^\"]*", "", pages[0])


def test_markdown_says_the_same():
    text, files = render_markdown(study_document(study(), arrays()), prefix="figures/")
    for sentence in ablation().sentences:
        assert sentence in text
    for name in re.findall(r"\]\((figures/[^)]*)\)", text):
        assert name in files


def test_an_ablation_alone():
    page = words(render_html(ablation_document(ablation())))
    assert "How does test accuracy depend on batch size, L2 coefficient and hidden width?" in page
    for sentence in ablation().sentences:
        assert sentence in page


def test_a_training_alone():
    page = words(render_html(training_document(training())))
    assert "Training of mlp" in page
    assert "92.0 (89.0 to 95.0)" in page
    assert "least accurate on “dog”" in page
    assert "Mistakes" not in words(
        render_html(training_document(training().model_copy(update={"confusion": []})))
    )


def test_files_are_written_and_pictures_read(tmp_path):
    from safetensors.numpy import save_file

    save_file(arrays(), tmp_path / "pictures.safetensors")
    pictures = read_pictures(tmp_path / "pictures.safetensors")
    assert {name: array.shape for name, array in pictures.items()} == {
        name: array.shape for name, array in arrays().items()
    }
    written = write_study_report(study(), pictures, tmp_path / "report")
    assert {name: path.name for name, path in written.items()} == {
        "html": "report.html",
        "markdown": "report.md",
        "latex": "tables.tex",
    }
    assert all(path.is_file() for path in written.values())
    assert (tmp_path / "report" / "figures" / "figure-1.svg").is_file()
    assert "tab:effects" in written["latex"].read_text(encoding="utf-8")
    again = write_study_report(study(), pictures, tmp_path / "again", ("html",))
    assert list(again) == ["html"]
    assert again["html"].read_bytes() == written["html"].read_bytes()
    assert not (tmp_path / "again" / "report.md").exists()


def test_an_unknown_format_and_a_damaged_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="html, markdown or latex; got 'pdf'"):
        write_study_report(study(), {}, tmp_path, ("pdf",))
    path = tmp_path / "pictures.safetensors"
    for content in (None, b"not safetensors"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(StoreError, match="run the study again"):
            read_pictures(path)


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("", "foolscope report tiny #"),
        ("foolscope study tiny.toml", "foolscope report tiny #"),
        ("foolscope study --store /runs --json", "foolscope report tiny --store /runs #"),
        ("foolscope study --store=/runs", "foolscope report tiny --store=/runs #"),
    ],
)
def test_the_command_for_the_report_names_the_same_store(command, again):
    bare = study(
        ablations=[],
        checks=[],
        attacks=[],
        galleries=[],
        mistakes=[],
        claims=[],
        training=[],
        command=command,
    )
    assert again in read(bare)

"""A realistic report of made-up numbers; ``python tests/reports/conftest.py FOLDER`` writes it out to be looked at."""
# ruff: noqa: E501

import sys
from pathlib import Path

import numpy as np
import pytest

from foolscope.reports import figures as draw
from foolscope.reports import render_html, render_latex, render_markdown
from foolscope.reports.document import (
    Bullets,
    Cell,
    Code,
    Column,
    Details,
    Document,
    Figure,
    Gallery,
    Mono,
    Notice,
    Panel,
    Paragraph,
    Reference,
    Section,
    Strong,
    Table,
    Verdict,
    Verdicts,
)
from foolscope.reports.images import magnified_perturbation

GENERATOR_SEED = 7
STUDY = """\
title = "What matters when a small network reads digits"
dataset = "digits"
seeds = 5

[model]
name = "mlp"
hidden = [100]

[ablation]
learning_rate = [0.01, 0.05, 0.1, 0.2]
"""


def band(mean, spread):
    mean = np.asarray(mean)
    return draw.Band(mean, mean - spread, mean + spread)


def training_figure():
    epochs = np.arange(1, 31)
    generator = np.random.default_rng(GENERATOR_SEED)
    loss = 0.06 + 2.2 * np.exp(-epochs / 4)
    validation = 0.14 + 2.1 * np.exp(-epochs / 4) + 0.0008 * epochs**1.4 + generator.normal(0, 0.006, 30)
    accuracy = 0.995 - 0.7 * np.exp(-epochs / 3.2)
    held_out = 0.965 - 0.69 * np.exp(-epochs / 3.2) + generator.normal(0, 0.003, 30)
    return draw.line_panels(
        epochs,
        {
            "Loss": {"training": band(loss, 0.05 * loss), "validation": band(validation, 0.09 * validation)},
            "Accuracy": {"training": band(accuracy, 0.008), "validation": band(held_out, 0.016)},
        },
        x_label="epoch",
    )


def level(name, mean, outcome, published=None):
    generator = np.random.default_rng(abs(hash((round(mean * 1e6), len(name)))) % 2**32)
    values = generator.normal(mean, 0.004, 5)
    return draw.Level(
        name,
        tuple(values),
        float(values.mean()),
        values.mean() - 0.006,
        values.mean() + 0.006,
        outcome,
        published,
    )


def ablation_factors():
    return [
        draw.Factor(
            "learning rate",
            [
                level("0.01", 0.912, "hurts", 0.9),
                level("0.05", 0.951, "no effect"),
                level("0.1", 0.953, "baseline", 0.957),
                level("0.2", 0.948, "undecided", 0.946),
                draw.Level("5", (), None, None, None, "diverged"),
            ],
        ),
        draw.Factor(
            "decay per epoch",
            [
                level("1", 0.949, "undecided"),
                level("0.99", 0.953, "no effect"),
                level("0.9", 0.953, "baseline"),
                level("0.8", 0.944, "hurts"),
            ],
        ),
        draw.Factor(
            "batch size",
            [
                level("32", 0.962, "helps"),
                level("64", 0.953, "baseline"),
                level("128", 0.945, "hurts"),
                level("256", 0.928, "hurts", 0.935),
            ],
        ),
        draw.Factor(
            "hidden units",
            [
                level("50", 0.943, "hurts"),
                level("100", 0.953, "baseline"),
                level("150", 0.956, "undecided"),
                level("200", 0.961, "helps"),
            ],
        ),
        draw.Factor(
            "L2 coefficient",
            [
                level("0", 0.953, "baseline"),
                level("0.0001", 0.953, "no effect"),
                level("0.001", 0.952, "no effect"),
                level("0.01", 0.951, "no effect"),
            ],
        ),
    ]


def robustness_figure():
    epsilons = np.array([0, 2, 4, 8, 12, 16, 24, 32, 48, 64]) / 255
    return draw.line_panels(
        255 * epsilons,
        {
            "Robust accuracy": {
                "softmax": band(0.94 * np.exp(-epsilons * 14), 0.02),
                "one hidden layer": band(0.955 * np.exp(-epsilons * 11), 0.02),
                "small CNN": band(0.975 * np.exp(-epsilons * 6.5), 0.018),
            }
        },
        x_label="perturbation budget ε, in 1/255",
        levels={"chance": 0.1},
    )


def confusion(classes):
    generator = np.random.default_rng(GENERATOR_SEED)
    counts = generator.poisson(0.35 if classes < 30 else 0.02, (classes, classes))
    return counts + np.diag(generator.integers(30, 36, classes))


def digit(seed, side=8):
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / (side - 1)
    blob = np.exp(-(((x - generator.uniform(0.3, 0.7)) ** 2 + (y - generator.uniform(0.3, 0.7)) ** 2) * 14))
    return np.clip(blob + 0.5 * np.exp(-((x - 0.5) ** 2) * 60) * (y > 0.3), 0, 1)[None]


def gallery():
    rows = []
    for seed in range(4):
        original = digit(seed)
        change = np.sign(np.random.default_rng(seed).normal(size=original.shape)) * 16 / 255
        adversarial = np.clip(original + change, 0, 1)
        magnified = magnified_perturbation(original, adversarial)
        rows.append(
            (
                Panel(original, "original", (f"{seed + 3}", "p = 0.998")),
                Panel(magnified.image, "perturbation", (magnified.label,)),
                Panel(adversarial, "fooling image", ("8", "p = 0.914")),
            )
        )
    return Gallery(
        rows,
        (
            "Correctly classified images, the perturbation found by targeted PGD within ε = 16/255, and the image that fools ",
            "the network. The label that the network gives and its probability stand below; perturbations are magnified about mid-gray.",
        ),
        key="gallery",
    )


def effects_table():
    columns = [
        Column("factor"),
        Column("level"),
        Column("test accuracy", format=".4f"),
        Column("difference", align="right"),
        Column("95 % interval", align="right"),
        Column("adjusted p", align="right"),
        Column("verdict"),
    ]
    rows = [
        (
            "batch size",
            "32",
            Cell(0.9624, emphasis=True),
            "+0.9",
            "+0.3 to +1.5",
            "0.004",
            Cell("helps", tone="good"),
        ),
        ("", "64 (baseline)", 0.9533, "", "", "", ""),
        ("", "128", 0.9451, "−0.8", "−1.4 to −0.2", "0.009", Cell("hurts", tone="bad")),
        ("", "256", 0.9280, "−2.5", "−3.1 to −1.9", "< 0.001", Cell("hurts", tone="bad")),
        ("learning rate", "0.01", 0.9121, "−4.1", "−4.7 to −3.5", "< 0.001", Cell("hurts", tone="bad")),
        ("", "0.2", 0.9484, "−0.5", "−1.1 to +0.1", "0.210", Cell("undecided", tone="caution")),
        ("", "5", None, "", "", "", Cell("diverged", tone="odd")),
        (
            "L2 coefficient",
            "0.0001",
            0.9531,
            "−0.0",
            "−0.6 to +0.6",
            "1.000",
            Cell("no effect", tone="quiet"),
        ),
    ]
    return Table(
        columns,
        rows,
        "One factor at a time around the baseline: test accuracy, and the difference from the baseline in points.",
        note="Five seeds a level. Intervals are simultaneous per factor (Holm), from the pooled residual variance. No effect means: smaller than 0.5 points.",
        key="effects",
    )


LEAD = Verdicts(
    [
        Verdict(
            "upheld",
            "A larger batch is worse.",
            "Batch size 256 costs 2.5 points against 64 (95 % interval 1.9 to 3.1, adjusted p < 0.001).",
        ),
        Verdict(
            "upheld",
            "More hidden units are better.",
            "200 units gain 0.8 points over 100 (0.2 to 1.4, adjusted p = 0.011).",
        ),
        Verdict(
            "contradicted",
            "L2 regularization improves the test accuracy.",
            "No effect of the L2 coefficient larger than 0.5 points, by two one-sided tests.",
        ),
        Verdict(
            "undecided",
            ("Without learning-rate decay accuracy is worse; see ", Reference("effects"), "."),
            "The difference is −0.4 points (−1.0 to +0.2). About 9 more seeds would decide.",
        ),
    ]
)


def evidence():
    return Section(
        "What the ablation shows",
        [
            Paragraph(
                (
                    "Each factor was varied alone, with the same batches and initial weights in every cell of a seed. ",
                    Strong("Batch size matters most"),
                    ": ",
                    Reference("ablation"),
                    " shows every run, ",
                    Reference("effects"),
                    " the differences. Selection was on validation accuracy, reporting on the test set.",
                )
            ),
            Figure(
                draw.ablation_effects(ablation_factors(), quantity="test accuracy"),
                "Test accuracy by level of each factor. Small dots are seeds; the large mark is their mean with its 95 % interval. The dashed line is the baseline's mean.",
                "Five panels of accuracy by factor; batch size and learning rate have the largest effects.",
                key="ablation",
            ),
            effects_table(),
            Notice(
                (
                    "One of five trials at ",
                    Mono("learning_rate = 5"),
                    " ended with a loss that is not a number; its level counts as diverged.",
                )
            ),
        ],
    )


def training_section():
    classes = [str(number) for number in range(10)]
    return Section(
        "How the networks trained",
        [
            Figure(
                training_figure(),
                "Loss and accuracy by epoch, mean and range over five seeds.",
                "Training loss falls throughout; validation loss levels out at epoch 20.",
                key="training",
            ),
            Section(
                "Where it is wrong",
                [
                    Paragraph("The eight is taken for a one or a nine."),
                    Figure(
                        draw.confusion_matrix(confusion(10), classes),
                        "Confusion matrix on the test set: percent of each true class, counts below.",
                        "Nearly all mass on the diagonal.",
                    ),
                ],
            ),
        ],
    )


def robustness_section():
    steps = np.arange(11)
    return Section(
        "How easily they are fooled",
        [
            Figure(
                robustness_figure(),
                "Accuracy left under PGD-40 with 5 restarts.",
                "Accuracy falls from 0.95 to chance within 32/255.",
                key="robust",
            ),
            Figure(
                draw.line_panels(
                    steps,
                    {
                        "Mean loss": {
                            "untargeted PGD": band(0.3 + 3.4 * (1 - np.exp(-steps / 3)), 0.12),
                            "FGSM direction": band(0.3 + 1.9 * (1 - np.exp(-steps / 4)), 0.1),
                        }
                    },
                    x_label="attack step",
                ),
                "Mean loss after each step of the attack.",
                "Loss rises at every step.",
            ),
            gallery(),
            Table(
                ["norm", Column("ε", format=".4f"), Column("accuracy left", format=".1%")],
                [("L∞", 8 / 255, 0.42), ("L2", 0.5, 0.61), ("L1", 5.0, 0.803)],
                "Accuracy left under other threats.",
            ),
        ],
    )


def build_demo():
    return Document(
        "What matters when a small network reads digits",
        "Which of learning rate, decay, batch size, width and L2 regularization changes the test accuracy of a one-hidden-layer network, and how easily is that network fooled?",
        lead=[LEAD],
        sections=[evidence(), training_section(), robustness_section()],
        colophon=[
            Paragraph(
                "Everything above was computed by one command on one machine; nothing was selected by hand."
            ),
            Bullets(
                [
                    ("Study file ", Mono("digits.toml"), ", recipe hash ", Mono("b7c94e1f")),
                    "foolscope 0.1.0, torch 2.9.0, NumPy 2.4.6, Python 3.11",
                ]
            ),
            Code("foolscope study digits --seeds 5", "sh"),
            Details("The study file", [Code(STUDY, "toml")]),
            Details(
                "Every trial",
                [
                    Table(
                        ["trial", "seed", Column("accuracy", format=".4f")],
                        [(f"b7c9{n:04x}", n, 0.95 + n / 1000) for n in range(5)],
                        "Trials of the baseline.",
                    )
                ],
            ),
        ],
        facts=[
            ("Data", "digits, 1,797 images"),
            ("Trials", "85"),
            ("Seeds", "5"),
            ("Interval", "95 %"),
            ("Duration", "42 s on 2 cores"),
        ],
    )


@pytest.fixture(scope="session")
def demo():
    return build_demo()


@pytest.fixture(scope="session")
def demo_html(demo):
    return render_html(demo)


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    document = build_demo()
    page = render_html(document)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "dark.html").write_text(
        page.replace('<html lang="en">', '<html lang="en" data-theme="dark">'), encoding="utf-8"
    )
    (folder / "tables.tex").write_text(render_latex(document), encoding="utf-8")
    text, files = render_markdown(document)
    (folder / "report.md").write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

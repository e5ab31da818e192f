import html
import re

import numpy as np
import pytest
from PIL import Image


def titles_of(page):
    found = re.findall(r'<p class="panel-title">(.*?)</p>', page.read_text(encoding="utf-8"))
    return [html.unescape(title).strip() for title in found]


@pytest.fixture
def colored(tmp_path):
    """A folder of class folders with pictures of 16 × 12 pixels in color."""
    generator = np.random.default_rng(0)
    for name in ("one", "two"):
        (tmp_path / "own" / name).mkdir(parents=True)
        for number in range(20):
            picture = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "own" / name / f"{number}.png")
    return tmp_path / "own"


def test_without_operations_it_shows_every_class(foolscope, tmp_path):
    result = foolscope("data", "show", "digits", "--per-class", "3")
    assert (result.code, result.out) == (0, "Contact sheet: digits.html\n")
    assert [title for title in titles_of(tmp_path / "digits.html") if title] == [
        str(digit) for digit in range(10)
    ]
    assert (tmp_path / "digits.html").read_text(encoding="utf-8").count("<img ") == 30


def test_a_policy_shows_its_operations_and_draws(foolscope, tmp_path):
    foolscope("data", "show", "digits", "--augment", "rand:magnitude=20", "--image", "3")
    titles = titles_of(tmp_path / "digits-augmented.html")
    assert titles[0] == "original"
    assert {"rotate 20°", "posterize 5 bits", "brightness 1.6", "translate-x 25 %"} < set(titles)
    assert titles[-6:] == [f"rand, draw {number}" for number in range(1, 7)]
    assert not any("saturation" in title for title in titles)


def test_the_published_figure_can_be_made(foolscope, colored, tmp_path):
    names = "translate-x+translate-y+shear-y+rotate+hue+posterize+contrast+solarize+brightness+sharpness"
    arguments = ("data", "show", "folder", "--path", colored, "--augment", names)
    assert foolscope(*arguments, "--output", "first.html").code == 0
    assert titles_of(tmp_path / "first.html") == [
        *("original", "translate-x 30 %", "translate-y 30 %", "shear-y 10°", "rotate 20°", "hue 0.3"),
        *("posterize 3 bits", "contrast 0.5", "solarize 200/255", "brightness 0.5", "sharpness 20"),
    ]
    foolscope(*arguments, "--output", "again.html")
    assert (tmp_path / "first.html").read_bytes() == (tmp_path / "again.html").read_bytes()
    foolscope(*arguments, "--output", "other.html", "--seed", "1")
    assert (tmp_path / "first.html").read_bytes() != (tmp_path / "other.html").read_bytes()


def test_all_operations_that_fit_the_images_are_shown(foolscope, colored, tmp_path):
    foolscope("data", "show", "folder", "--path", colored, "--augment", "all", "--output", "color.html")
    foolscope("data", "show", "digits", "--augment", "all", "--output", "gray.html")
    color, gray = titles_of(tmp_path / "color.html"), titles_of(tmp_path / "gray.html")
    assert len(color) == 27
    assert set(color) - set(gray) == {"hue 0.3", "saturation 2", "gray"}
    assert "mixup 0.2" in gray


def test_settings_and_ranges_are_read(foolscope, tmp_path):
    operations = "rotate:degrees=[-30,30]:fill=0.5 + cutout:size=3+solarize:threshold=100/255"
    foolscope("data", "show", "--augment", operations)
    titles = titles_of(tmp_path / "digits-augmented.html")
    assert titles[1:] == ["rotate -30° to 30°", "cutout 3 px", "solarize 100/255"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--augment", "rotat"], "unknown augmentation 'rotat'. Did you mean 'rotate'?"),
        (["--augment", "hue"], "hue needs images of three channels"),
        (["--augment", "cutout:size=9"], "cutout: size must be at most 8 for 8×8 images; got 9"),
        (["--augment", "rotate:angle=9"], "rotate: unknown field 'angle'. Known: degrees"),
        (
            ["--augment", "rotate:degrees"],
            "must be name:setting=value, several joined by +; got 'rotate:degrees'",
        ),
        (["--augment", "hue:shift=0.7"], "hue: shift: must be in [-0.5, 0.5]; got 0.7"),
        (["--augment", "rotate", "--image", "99999"], "--image must be less than 1,150"),
        (["--split", "validation", "--per-class", "0"], "--per-class"),
    ],
)
def test_it_refuses_in_one_line(refused, arguments, words):
    assert words in refused("data", "show", "digits", *arguments)

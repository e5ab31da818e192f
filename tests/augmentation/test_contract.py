"""What every operation in the table promises."""

from pathlib import Path

import pytest
import torch
from eight_bit import draws_for

from foolscope.augmentation import AUGMENTATIONS, applying
from foolscope.core.errors import RecipeError

SHAPES = [(6, 3, 9, 12), (5, 1, 12, 9)]

every_operation = pytest.mark.parametrize("name", list(AUGMENTATIONS))
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=["color", "gray"])


def images_of(shape, seed=3):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def settings_of(name, shape, **values):
    """An operation's default settings; skips where it refuses the images."""
    settings = AUGMENTATIONS[name].settings(**values)
    try:
        AUGMENTATIONS[name].check(settings, shape[1:])
    except RecipeError as error:
        pytest.skip(str(error))
    return settings


def run(name, settings, images, seed=0):
    """The images after the operation, with each one's partner and weight if it has one."""
    entry, draws = AUGMENTATIONS[name], draws_for(len(images), seed)
    if entry.mix is None:
        return entry.apply(settings, images, draws), None
    return entry.mix(settings, images, draws)


@every_operation
def test_the_settings_carry_the_name_of_the_table(name):
    entry = AUGMENTATIONS[name]
    assert entry.settings.model_fields["name"].default == name
    assert (entry.apply is None) != (entry.mix is None)
    assert entry.settings.measure is None or entry.settings.measure in entry.settings.model_fields


@every_operation
@each_shape
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_images_in_the_unit_interval_become_such_images(name, shape, dtype):
    settings = settings_of(name, shape)
    images = images_of(shape).to(dtype)
    before, state = images.clone(), torch.get_rng_state()
    result, _ = run(name, settings, images)
    assert (result.shape, result.dtype) == (images.shape, dtype)
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.equal(images, before), "changed its inputs"
    assert torch.equal(torch.get_rng_state(), state), "drew from the global generator"
    assert result.untyped_storage().data_ptr() != images.untyped_storage().data_ptr()
    assert torch.equal(run(name, settings, images)[0], result), "the same generator gives another result"
    assert run(name, settings, images[:1])[0].shape == (1, *shape[1:])


@every_operation
@each_shape
def test_an_image_is_changed_whatever_the_others_show(name, shape):
    settings = settings_of(name, shape)
    images, others = images_of(shape), images_of(shape, seed=4)
    expected, mixing = run(name, settings, images)
    for row in range(len(images)):
        kept = {row} if mixing is None else {row, int(mixing.partners[row])}
        strange = others.clone()
        for index in kept:
            strange[index] = images[index]
        assert torch.equal(run(name, settings, strange)[0][row], expected[row])


@every_operation
@each_shape
@pytest.mark.parametrize("part", [1, 700])
def test_the_result_does_not_depend_on_the_parts_of_the_minibatch(name, shape, part, monkeypatch):
    """Seven images go through one by one, or in parts of different sizes."""
    shape = (7, *shape[1:])
    settings = settings_of(name, shape)
    expected, _ = run(name, settings, images_of(shape))
    monkeypatch.setattr(applying, "_PART", part)
    assert torch.equal(run(name, settings, images_of(shape))[0], expected)


@every_operation
@pytest.mark.parametrize(
    "arranged",
    [lambda images: images.to(memory_format=torch.channels_last), lambda images: images.mT.contiguous().mT],
    ids=["channels last", "columns first"],
)
def test_the_result_does_not_depend_on_how_images_lie_in_memory(name, arranged):
    settings, images = settings_of(name, SHAPES[0]), images_of(SHAPES[0])
    torch.testing.assert_close(run(name, settings, arranged(images))[0], run(name, settings, images)[0])


@every_operation
def test_each_image_has_its_own_draw(name):
    shape = (24, 3, 9, 12)
    own = {"probability": 0.5} if "probability" in AUGMENTATIONS[name].settings.model_fields else {}
    settings = settings_of(name, shape, **own)
    same = images_of(shape[1:]).expand(shape).contiguous()
    if AUGMENTATIONS[name].mix is not None:
        same[::2] = 1 - same[::2]
    result, _ = run(name, settings, same)
    assert len({tuple(image.flatten().tolist()) for image in result}) > 2 - ("flip" in name or own != {})
    assert not torch.equal(run(name, settings, same, seed=1)[0], result)


@every_operation
def test_a_probability_of_zero_changes_nothing(name):
    if "probability" not in AUGMENTATIONS[name].settings.model_fields:
        pytest.skip("always changes the images")
    images = images_of(SHAPES[0])
    assert torch.equal(run(name, AUGMENTATIONS[name].settings(probability=0), images)[0], images)


@pytest.mark.parametrize(
    ("name", "values", "shape", "words"),
    [
        (
            "hue",
            {},
            (1, 8, 8),
            "hue needs images of three channels, .*; these have one channel$",
        ),
        ("saturation", {}, (1, 8, 8), "saturation needs images of three channels"),
        ("gray", {}, (4, 8, 8), "these have 4 channels"),
        ("random-crop", {"padding": 8}, (3, 8, 9), "padding must be at most 7 for 8×9 images; got 8"),
        ("cutout", {"size": 9}, (3, 8, 9), "size must be at most 8 for 8×9 images; got 9"),
        ("gaussian-blur", {"radius": 8}, (3, 9, 8), "radius must be at most 7 for 9×8 images; got 8"),
    ],
)
def test_what_makes_no_sense_is_refused(name, values, shape, words):
    with pytest.raises(RecipeError, match=words):
        AUGMENTATIONS[name].check(AUGMENTATIONS[name].settings(**values), shape)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("rotate", {"degrees": [30, -30]}, "low ≤ high"),
        ("rotate", {"degrees": [1, 2, 3]}, "one number or a range"),
        ("rotate", {"degrees": 400}, r"must be in \[-360, 360\]; got 400"),
        ("hue", {"shift": [-0.6, 0]}, r"must be in \[-0.5, 0.5\]; got \[-0.6, 0\]"),
        ("brightness", {"factor": -1}, "must be at least 0; got -1"),
        ("solarize", {"threshold": 200}, r"must be in \[0, 1\]; got 200"),
        ("solarize", {"threshold": "200/0"}, "fraction such as 200/255"),
        ("posterize", {"bits": 0}, r"must be in \[1, 8\]"),
    ],
)
def test_settings_out_of_range_are_refused(name, values, words):
    with pytest.raises(ValueError, match=words):
        AUGMENTATIONS[name].settings(**values)


def test_a_setting_is_one_number_or_a_range():
    settings = AUGMENTATIONS["solarize"].settings
    assert settings(threshold="200/255").threshold == 200 / 255
    assert settings(threshold=["100/255", 1]).threshold == (100 / 255, 1.0)
    assert AUGMENTATIONS["posterize"].settings(bits=[3, 5]).bits == (3, 5)
    assert draws_for(4).uniform(0.3).tolist() == [0.3] * 4
    drawn = draws_for(4000).uniform((-2.0, 6.0))
    assert -2 <= drawn.min() < -1.9
    assert 5.9 < drawn.max() < 6
    assert abs(drawn.mean() - 2) < 0.15
    counts = torch.bincount(draws_for(4000).whole((2, 4))).tolist()
    assert counts[:2] == [0, 0]
    assert all(abs(count - 4000 / 3) < 150 for count in counts[2:])


@every_operation
def test_the_documentation_lists_the_operation_with_its_settings(name):
    lines = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{name}`")]
    fields = set(AUGMENTATIONS[name].settings.model_fields) - {"name", "interpolation", "fill"}
    assert all(f"`{field}`" in row for field in fields)

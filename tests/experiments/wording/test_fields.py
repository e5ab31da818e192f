import pytest

from foolscope.experiments.recipe import Recipe, fields_of
from foolscope.experiments.wording.fields import field_words, value_words


@pytest.mark.parametrize("field", fields_of(Recipe()))
def test_fields_are_written_without_dots_and_underscores(field):
    words = field_words(field)
    assert words
    assert not set("._") & set(words)


def test_a_dotted_name_is_its_last_part():
    assert field_words("regularization.l2") == field_words("l2") == "L2 coefficient"
    assert field_words("schedule.decay") == "learning-rate decay"
    assert field_words("augmentation.random_crop_2.padding") == "random-crop-2 padding"
    assert field_words("parameter_groups.1.l2") == "group 1 L2 coefficient"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (False, "no"),
        (1, "1"),
        (0, "0"),
        (1.0, "1"),
        (0.1 + 0.2, "0.3"),
        (5e-3, "0.005"),
        (1e-7, "1e-07"),
        (None, "none"),
        ((), "none"),
        ([], "none"),
        ((-15.0, 15.0), "-15 to 15"),
        (("conv1.*", "bn1.*"), "conv1.*+bn1.*"),
        ((64, 0.5), "64-0.5"),
        ("cosine", "cosine"),
    ],
)
def test_values_are_written_as_a_person_would(value, words):
    assert value_words(value) == words

"""What a page says about how a recipe was trained."""

from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.recipe_words import settings_in_words


def test_the_usual_settings_are_always_there_and_others_where_they_differ():
    usual = [
        "data set",
        "model",
        "optimizer",
        "learning-rate schedule",
        "batch size",
        "number of epochs",
        "seed",
    ]
    assert sorted(name for name, _ in settings_in_words(Recipe())) == sorted(usual)
    recipe = with_values(
        Recipe(),
        {
            "model": "mlp",
            "hidden": [50, 20],
            "augmentation": "rotate:degrees=20+cutout:size=2",
            "averaging": "ema",
            "parameter_groups": "*.bias:weight_decay=0",
            "clipping": 1.0,
            "frozen": ["1.*"],
            "seed": 3,
        },
    )
    said = dict(settings_in_words(recipe))
    assert said["model"] == "mlp (hidden width 50-20)"
    assert said["augmentation"] == "rotate (degrees 20) + cutout (size 2)"
    assert said["averaging"] == "ema"
    assert said["parameter groups"] == "*.bias (weight decay 0)"
    assert (said["clipping threshold"], said["frozen"], said["seed"]) == ("1", "1.*", "3")

import pytest

from foolscope.core.errors import RecipeError, StoreError
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.recipe_files import built_in_recipes, read_recipe


@pytest.mark.parametrize("name", built_in_recipes())
def test_every_built_in_recipe_is_valid_and_says_what_it_is(name):
    assert isinstance(read_recipe(name), Recipe)
    assert built_in_recipes()[name].startswith("# ")


def test_a_file_comes_before_a_built_in_recipe_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast-cifar10").write_text("seed = 7", encoding="utf-8")
    assert read_recipe("fast-cifar10").seed == 7
    assert read_recipe(tmp_path / "fast-cifar10").seed == 7


def test_what_cannot_be_read_is_said_in_one_line(tmp_path):
    with pytest.raises(StoreError, match=r"no recipe file fast-cifar, .* mean 'fast-cifar10'"):
        read_recipe("fast-cifar")
    with pytest.raises(StoreError, match="cannot read the recipe"):
        read_recipe(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = ", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml is not valid TOML"):
        read_recipe(broken)
    broken.write_text("sed = 1", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml: unknown"):
        read_recipe(broken)

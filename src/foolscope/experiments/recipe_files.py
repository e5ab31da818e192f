"""Recipe files: reading them, and those that come with the package."""

import tomllib
from importlib import resources
from pathlib import Path

from foolscope.core.errors import RecipeError, StoreError, did_you_mean
from foolscope.experiments.recipe import Recipe, recipe_from

__all__ = ["built_in_recipes", "read_recipe"]


def built_in_recipes() -> dict[str, str]:
    """Return the recipes that come with the package: name to TOML text.

    Example:
        >>> list(built_in_recipes())
        ['fast-cifar10']
    """
    folder = resources.files("foolscope.experiments") / "recipes"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(files, key=lambda each: each.name)
    }


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Read a built-in recipe by name, or a recipe file by path; a file of that name comes first.

    Raises:
        StoreError: there is no such recipe or file, or the file cannot be read.
        RecipeError: the file is not TOML, or a field is wrong.

    Example:
        >>> read_recipe("fast-cifar10").model.name
        'fast-cnn'
    """
    path, built_in = Path(name_or_path), built_in_recipes()
    if str(name_or_path) in built_in and not path.exists():
        text = built_in[str(name_or_path)]
    else:
        text = _text_of(path, built_in)
    try:
        return recipe_from(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def _text_of(path: Path, built_in: dict[str, str]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise StoreError(
            f"no recipe file {path}, and no built-in recipe of that name. {did_you_mean(str(path), built_in)}"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read the recipe {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error

"""Recipe fields that hold a list of components, as the augmentation does: how they are read and written.

An entry is a table, or a text: its head, then the settings that differ from their defaults.

    random-crop:padding=4+horizontal-flip
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.settings import Settings, one_line, plain_words
from foolscope.core.values import parse_value
from foolscope.experiments.wording.fields import field_words, value_words

__all__ = ["ComponentList"]

_NEXT_ENTRY = re.compile(r"\s*(?:\+\s*(?=[A-Za-z_*?\[])|(?<![\d.][eE])\+\s*(?=\d))")
"""The plus sign between entries, which may begin with the digit of a layer; not that of 1e+5."""


@dataclass(frozen=True)
class ComponentList:
    """One list field of a recipe.

    Args:
        field: of the recipe.
        head: the field of an entry with which its text begins: its name, or the names that it applies to.
        registered: by head, the settings class of an entry; or the one class of all entries.
    """

    field: str
    head: str
    registered: Mapping[str, type[Settings]] | type[Settings]

    @property
    def settings(self) -> Mapping[str, type[Settings]]:
        """The settings class of every kind of entry; of an entry without kinds by the name of the field."""
        return self.registered if isinstance(self.registered, Mapping) else {self.field: self.registered}

    @property
    def choices(self) -> str:
        """What may be written: the kinds of entries, or the settings of their one kind."""
        if isinstance(self.registered, Mapping):
            return f"Known: {', '.join(self.registered)}"
        own = [name for name in self.registered.model_fields if name != self.head]
        return f"Settings: {', '.join(own)}"

    def read(self, value: Any) -> tuple[Any, ...]:
        """Return the entries of a list of tables and texts, of a single one, or of none.

        Raises:
            RecipeError: an entry is unknown, or a setting of it is wrong.
        """
        if value is None or value == "none":
            return ()
        if isinstance(value, str | Mapping | Settings):
            value = [value]
        if not isinstance(value, Sequence):
            raise RecipeError(f"must be a list of {self.head}s or tables; got {value!r}")
        tables: list[Any] = []
        for each in value:
            tables += self.tables(each) if isinstance(each, str) else [each]
        return tuple(self._entry(table) for table in tables)

    def tables(self, text: str) -> list[dict[str, Any]]:
        """Read a text as tables, without validating them.

        Raises:
            RecipeError: a setting has no value, or several.
        """
        return [self._table(entry) for entry in _NEXT_ENTRY.split(text)]

    def _table(self, text: str) -> dict[str, Any]:
        """Read ``head:field=value:field=value``."""
        head, *settings = (part.strip() for part in text.split(":"))
        table: dict[str, Any] = {self.head: head}
        for setting in settings:
            name, equals, value = (part.strip() for part in setting.partition("="))
            if not name or not equals or not value:
                raise RecipeError(f"must be {self.head}:setting=value, several joined by +; got {text!r}")
            field = name.replace("-", "_")
            if field in table:
                raise RecipeError(f"{head}: {name} is set twice in {text!r}; set it once")
            table[field] = parse_value(value)
        return table

    def _entry(self, table: Any) -> Settings:
        if isinstance(table, Settings):
            return table
        if not isinstance(table, Mapping) or not table.get(self.head):
            raise RecipeError(f"every entry needs {self.head}; got {table!r}")
        head = table[self.head]
        if isinstance(self.registered, Mapping):
            if head not in self.registered:
                raise RecipeError(f"unknown {self.field} {head!r}. {did_you_mean(head, self.registered)}")
            settings = self.registered[head]
        else:
            settings = self.registered
        known = [name for name in settings.model_fields if name != self.head]
        try:
            return settings.model_validate(dict(table))
        except pydantic.ValidationError as error:
            raise RecipeError(f"{head}: {one_line(error, {'': known})}") from error

    def keys(self, entries: Sequence[Settings]) -> list[str]:
        """Return what each entry is called in a dotted path: its name, or for patterns its place from 1.

        The second ``random-crop`` of a list is ``random_crop_2``.
        """
        if not isinstance(self.registered, Mapping):
            return [str(place) for place, _ in enumerate(entries, 1)]
        seen: Counter[str] = Counter()
        keys = []
        for entry in entries:
            name = str(getattr(entry, self.head)).replace("-", "_")
            seen[name] += 1
            keys.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
        return keys

    def leaves(self, entries: Sequence[Settings]) -> Iterator[tuple[str, Any]]:
        """Yield the dotted path and the value of every setting of every entry."""
        for key, entry in zip(self.keys(entries), entries, strict=True):
            for leaf in type(entry).model_fields:
                if leaf != self.head:
                    yield f"{self.field}.{key}.{leaf}", getattr(entry, leaf)

    def words(self, entries: Sequence[Settings]) -> str:
        """Say what the list holds, as in "random-crop (padding 4) + horizontal-flip"."""
        return " + ".join(self._words(entry) for entry in entries) or "none"

    def write(self, entries: Sequence[Settings]) -> str | None:
        """Write the list as one text that :meth:`read` reads; no entries are None."""
        return "+".join(self._text(entry) for entry in entries) or None

    def _words(self, entry: Settings) -> str:
        settings = [f"{field_words(name)} {value_words(value)}" for name, value in self._changed(entry)]
        return f"{self._head(entry)} ({', '.join(settings)})" if settings else self._head(entry)

    def _text(self, entry: Settings) -> str:
        settings = [f"{name}={plain_words(value)}" for name, value in self._changed(entry)]
        return ":".join([self._head(entry), *settings])

    def _head(self, entry: Settings) -> str:
        head = getattr(entry, self.head)
        return ",".join(head) if isinstance(head, tuple) else str(head)

    def _changed(self, entry: Settings) -> Iterator[tuple[str, Any]]:
        """Yield the settings that are not the default."""
        for name, info in type(entry).model_fields.items():
            value = getattr(entry, name)
            if name != self.head and value != info.get_default(call_default_factory=True):
                yield name, value

"""Reads settings: keywords, then the environment, then ``qqmedia.toml``.

Every name that is not known is an error with the nearest spelling, whichever source it comes from; every value that is
wrong is an error that says which setting it is, where it was found and what would be right. Values are shown only of
settings that are plainly no secrets.
"""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qqmedia._config_file import DEFAULT_FILE, read_tables
from qqmedia._spelling import check_main_table, check_names, prefix, suggestion
from qqmedia.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

__all__ = ("check_names", "chosen_driver", "load_options", "load_settings")

# Parts of a setting's name that forbid showing its value.
_SECRET_WORDS: Final = ("secret", "key", "token", "password", "passwd", "credential", "auth")
_SHOWN_CHARACTERS: Final = 60  # of a wrong value
# What pydantic says of these leaves open what would be right.
_PLAINLY: Final = {
    "bool_parsing": "expected on or off",
    "dict_type": "expected a table of settings; in a variable, a JSON object such as {...}",
}

ModelT = TypeVar("ModelT", bound="BaseModel")
OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, slots=True)
class _Given:
    value: Any
    origin: str  # for people: where it was found


@dataclass(frozen=True, slots=True)
class _Names:
    """What a model's settings may be called."""

    fields: Mapping[str, str]  # accepted name -> name of the field
    keys: Mapping[str, str]  # name of the field -> the key by which the model takes it

    @classmethod
    def of(cls, model: type[BaseModel]) -> _Names:
        fields: dict[str, str] = {}
        keys: dict[str, str] = {}
        for name, info in model.model_fields.items():
            aliases = _aliases(info)
            fields |= dict.fromkeys((name, *aliases), name)
            keys[name] = aliases[0] if aliases else name
        return cls(fields, keys)

    def field(self, given: str, *, what: str, where: str) -> str:
        """Return the field that `given` means, or raise with the nearest name."""
        if given in self.fields:
            return self.fields[given]
        raise ConfigurationError(f"{what} is not a setting of {where}{suggestion(given, self.fields)}")


def chosen_driver() -> Any:
    """Return what ``QQMEDIA_DRIVER`` says, else `driver` in the table ``[qqmedia]``, else `None`.

    Raises:
        ConfigurationError: The file is wrong, or has another key than `driver` there.
    """
    path, tables = read_tables()
    check_main_table(path, tables)
    return os.environ.get("QQMEDIA_DRIVER") or tables.get("driver")


def load_settings(
    model: type[ModelT],
    name: str,
    keywords: Mapping[str, Any],
    section: str | None = None,
    *,
    other_names: Collection[str] = (),
) -> ModelT:
    """Build a driver's settings. It reads the disk: call it outside the event loop.

    A setting may be called by its field's name or by any of its aliases (`validation_alias`), in all three sources.
    An environment variable that is empty counts as not given. ``model_fields_set`` of the result holds the fields that
    any source gave.

    Args:
        model: The settings class.
        name: Of the driver: variables are ``QQMEDIA_<NAME>_<SETTING>``, the table is ``[qqmedia.<name>]``.
        keywords: What the program gave; it wins.
        section: Take the table ``[qqmedia.<name>.<section>]`` in its place.
        other_names: Other drivers, so that variables of ``s3-backup`` are not taken for those of ``s3``.

    Raises:
        ConfigurationError: An unknown name, a wrong or missing value, an unreadable file.
    """
    names = _Names.of(model)
    given: dict[str, _Given] = {}
    for source in (
        _from_file(names, name, section),
        _from_environment(model, names, name, other_names),
        _from_keywords(names, name, keywords),
    ):
        given.update(source)
    return _validate(model, names, name, section, given)


def load_options(options: Callable[..., OptionsT], name: str) -> OptionsT:
    """Build a frozen dataclass of options (host policy, silk) from the environment and the file.

    Raises:
        ConfigurationError: As `load_settings`, or the dataclass refuses the values itself.
    """
    from pydantic import ConfigDict, create_model  # noqa: PLC0415 - only when a host opens

    types = typing.get_type_hints(options)
    fields: dict[str, Any] = {
        field.name: (types[field.name], field.default)
        for field in dataclasses.fields(options)  # type: ignore[arg-type]  # a dataclass, seen as its constructor
        if field.init
    }
    model = create_model(f"{name} settings", __config__=ConfigDict(arbitrary_types_allowed=True), **fields)
    settings = load_settings(model, name, {})
    return options(**{field: getattr(settings, field) for field in settings.model_fields_set})


def _from_keywords(names: _Names, name: str, keywords: Mapping[str, Any]) -> Iterator[tuple[str, _Given]]:
    for key, value in keywords.items():
        yield names.field(key, what=f"{key!r}", where=f"{name!r}"), _Given(value, f"keyword {key!r}")


def _from_environment(
    model: type[BaseModel], names: _Names, name: str, other_names: Collection[str]
) -> Iterator[tuple[str, _Given]]:
    own = prefix(name)
    longer = tuple(prefix(other) for other in other_names if prefix(other).startswith(own) and other != name)
    for variable, value in sorted(os.environ.items()):
        upper = variable.upper()
        if not upper.startswith(own) or (longer and upper.startswith(longer)) or not value:
            continue
        by_variable = {accepted.upper(): accepted for accepted in names.fields}
        accepted = by_variable.get(upper.removeprefix(own))
        if accepted is None:
            near = suggestion(upper, [own + one for one in by_variable])
            raise ConfigurationError(f"environment variable {variable} is not a setting of {name!r}{near}")
        field = names.fields[accepted]
        yield field, _Given(_decode(field, model.model_fields[field], value, variable), f"variable {variable}")


def _decode(field: str, info: FieldInfo, value: str, variable: str) -> Any:
    """Turn the text of a variable into what the field expects: mappings and lists are written as JSON."""
    from pydantic_settings import BaseSettings, EnvSettingsSource  # noqa: PLC0415 - only when a host opens

    try:
        return EnvSettingsSource(BaseSettings).prepare_field_value(field, info, value, value_is_complex=False)
    except ValueError as error:
        raise ConfigurationError(f"environment variable {variable} must be JSON, like {{...}} or [...]") from error


def _from_file(names: _Names, name: str, section: str | None) -> Iterator[tuple[str, _Given]]:
    path, tables = read_tables()
    heading, table = f"[qqmedia.{name}]", tables.get(name, {})
    if section is not None:
        sections = [key for key, value in table.items() if isinstance(value, dict)] if isinstance(table, dict) else []
        heading = f"[qqmedia.{name}.{section}]"
        if section not in sections:
            raise ConfigurationError(f"{path} has no table {heading}{suggestion(section, sections)}")
        table = table[section]
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: qqmedia.{name} must be a table of settings, {heading}")
    for key, value in table.items():
        if section is None and isinstance(value, dict) and key not in names.fields:
            continue  # a section, for whoever asks for `name:section`
        field = names.field(key, what=f"{path}: {key!r} in {heading}", where=f"{name!r}")
        yield field, _Given(value, f"{key!r} in {heading} of {path}")


def _validate(
    model: type[ModelT], names: _Names, name: str, section: str | None, given: Mapping[str, _Given]
) -> ModelT:
    from pydantic import ValidationError  # noqa: PLC0415 - only when a host opens

    values = {names.keys[field]: one.value for field, one in given.items()}
    problem: ValidationError
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problem = error
    # Raised outside the handler: pydantic's own text holds the values, secrets too, and must be in no traceback.
    raise ConfigurationError("; ".join(_complaints(problem, names, name, section, given)))


def _complaints(
    error: ValidationError, names: _Names, name: str, section: str | None, given: Mapping[str, _Given]
) -> Iterator[str]:
    by_key = {key: field for field, key in names.keys.items()}
    heading = f"[qqmedia.{name}.{section}]" if section else f"[qqmedia.{name}]"
    for problem in error.errors(include_url=False, include_context=False):
        location = [str(part) for part in problem["loc"]]
        field = by_key.get(location[0], location[0]) if location else ""
        if problem["type"] == "missing" and field not in given:
            yield (
                f"{field!r} of {name!r} is not set: give {field}=..., {prefix(name)}{field.upper()},"
                f" or {field} in {heading} of {DEFAULT_FILE}"
            )
            continue
        wrong = _PLAINLY.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
        deeper = f" ({'.'.join(location[1:])})" if location[1:] else ""
        if field in given:
            yield f"{given[field].origin}{deeper} is wrong{_shown(field, given[field].value)}: {wrong}"
        else:
            yield f"settings of {name!r} do not fit together: {wrong}"


def _shown(field: str, value: object) -> str:
    if any(word in field for word in _SECRET_WORDS) or not isinstance(value, str | int | float):
        return ""
    text = repr(value)
    return f" ({text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + '...'})"


def _aliases(info: FieldInfo) -> list[str]:
    alias = info.validation_alias
    choices = getattr(alias, "choices", [alias])
    return [choice for choice in choices if isinstance(choice, str)]

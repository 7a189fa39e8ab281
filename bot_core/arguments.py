"""What a bot's author passes is looked at where he passes it: deep inside nobody could say which argument was wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real

__all__ = ("check_called", "check_function", "check_number", "check_pictures")


def check_number(name: str, value: object) -> None:
    """Refuse what is no number.

    Raises:
        TypeError: It names the argument.
    """
    if not isinstance(value, Real) or math.isnan(value):
        raise TypeError(f"{name} is a number; got {value!r:.80}")


def check_function(name: str, value: object) -> None:
    """Refuse what cannot be called.

    Raises:
        TypeError: It names the argument, or the decorator.
    """
    if not callable(value):
        raise TypeError(f"{name} takes a function; got {value!r:.80}")


def check_called(decorator: str, first: object) -> None:
    """Refuse a function in the place of a decorator's first argument: the decorator was not called.

    Raises:
        TypeError: It says what to write.
    """
    if callable(first) and not isinstance(first, type):  # `on_exception` takes a class
        name = getattr(first, "__name__", "the function")
        raise TypeError(f"@{decorator} needs parentheses: write @{decorator}(...) above {name}")


def check_pictures(images: object) -> None:
    """Refuse what is no mapping of names to pictures.

    Raises:
        TypeError: It says which picture is none.
    """
    if not isinstance(images, Mapping):
        raise TypeError(f"images is a mapping of names to pictures, {{'cat': 'cat.png'}}; got {images!r:.80}")
    for name, picture in images.items():
        if picture is None or not isinstance(name, str):
            raise TypeError(f"images is a mapping of names to pictures; got {picture!r:.80} under {name!r:.80}")

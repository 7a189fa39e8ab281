"""What a bot's author passes is looked at where he passes it: deep inside nobody could say which argument was wrong."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import ParamSpec, TypeVar

__all__ = ("check_called", "check_function", "check_number", "check_pictures", "spelled")

P = ParamSpec("P")
T = TypeVar("T")


def spelled(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function say which argument was meant, where it is called with one that it has not.

    What it returns raises `TypeError` then, as Python does by itself.
    """
    names = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
                raise TypeError(f"{function.__name__} has no argument {name!r}; {hint}")
        return function(*args, **kwargs)

    return call


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

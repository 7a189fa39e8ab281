"""Names that only annotations need, of modules that are too slow to be loaded for them."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ("Late",)


class Late:
    """Stands for a module, and loads it when somebody asks for a name of it: `typing.get_type_hints` does.

    ::

        if TYPE_CHECKING:
            import aiohttp
        else:
            aiohttp = Late("aiohttp")
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._module), name)

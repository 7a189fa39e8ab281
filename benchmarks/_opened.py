"""Opens one driver, or one bare SDK, in a fresh interpreter and tells which packages that loaded.

``python -m benchmarks._opened driver|bare NAME SETTINGS``
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import qqmedia
from benchmarks._bare import BARE

OURS = {"benchmarks", "bot_core", "qqmedia", "qqmedia_drivers"}


async def open_driver(name: str, settings: dict[str, Any], folder: Path) -> None:
    """Open a host over the driver, as a bot does."""
    async with qqmedia.open_host(name, check=False, platform_on_loopback=True, state_dir=folder, **settings):
        pass


def packages() -> list[str]:
    """Return what is loaded, by its top name, without Python's own and without this project."""
    names = {name.partition(".")[0] for name in sys.modules}
    return sorted(name for name in names - sys.stdlib_module_names - OURS if not name.startswith("_"))


def main(which: str, name: str, settings: dict[str, Any]) -> None:
    """Open it and tell."""
    with tempfile.TemporaryDirectory() as folder:
        if which == "bare":
            BARE[name](settings, Path(folder))
            if name == "local":  # it has no SDK, and a web server instead
                importlib.import_module("aiohttp.web")
        else:
            asyncio.run(open_driver(name, settings, Path(folder)))
    print(json.dumps(packages()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))

"""The kit that proves a driver; `_kit` puts it together.

pytest must hear of the modules before they are imported: else a failed promise says only "AssertionError".
"""

from __future__ import annotations

import pkgutil

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))

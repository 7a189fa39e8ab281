"""A driver that keeps every promise is found to do so, with nothing skipped."""

from __future__ import annotations

from tests.qqmedia.testing.store_kit import StoreConformance


class TestStoreDriver(StoreConformance):
    pass

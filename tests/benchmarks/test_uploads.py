"""The benchmark of uploads runs, and its table says what was measured; whether that is good is not asked here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import uploads

pytestmark = pytest.mark.blocking  # it measures what blocks, and has an event loop of its own


def test_a_tiny_run_has_a_row_for_all_that_is_promised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QQMEDIA_STATE", str(tmp_path))
    for name, value in {
        "ROUNDS": 1,
        "HANDLERS": 3,
        "BODIES": 2,
        "CACHED": 200,
        "LOOKS": 100,
        "LOOP_SECONDS": 0.2,
    }.items():
        monkeypatch.setattr(uploads, name, value)
    rows = uploads.upload_rows()
    assert [row[-1] for row in rows] == [">= 0.80", "1", "<= 10 ms", "<= 10 ms", "<= 64 MB", "<= 1 ms"]
    video, picture, *_ = rows
    assert float(video[3]) > 0.1
    assert picture[2] == "1 uploaded"

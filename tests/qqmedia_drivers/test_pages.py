"""The pages of the drivers are true: settings, defaults, messages and examples are those of the product."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qqmedia import DriverSpec
from qqmedia_drivers import cos, local, oss, s3
from tests.qqmedia_drivers.clouds import Cloud

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "drivers"
SPECS = {"cos": cos, "local": local, "oss": oss, "s3": s3}
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 20


@pytest.fixture(params=SPECS)
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def rows(page: str, heading: str) -> Iterator[list[str]]:
    """Return the rows of the tables below a heading, without their own headings."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] and cells[0] not in ("setting", "message", "it says"):
            yield cells


def test_every_setting_is_on_its_page_under_all_its_names(name: str, page: str) -> None:
    spec = SPECS[name].qqmedia_register_drivers()
    assert isinstance(spec, DriverSpec)
    model: Any = spec.settings() if callable(spec.settings) else spec.settings
    table = {}
    for cells in rows(page, "Settings"):
        named, _, others = cells[0].partition("[")
        for setting in re.findall(r"`(\w+)`", named):
            table[setting] = set(re.findall(r"`(\w+)`", others))
    fields = {field: _aliases(info) - {field} for field, info in model.model_fields.items()}
    assert set(table) == set(fields)
    for field, aliases in fields.items():
        if not any(alias.startswith("aws_") for alias in aliases):  # the page says so once, for three
            assert table[field] == aliases, field


def _aliases(info: Any) -> set[str]:
    return set(getattr(info.validation_alias, "choices", ()))


def test_it_says_what_it_costs_what_goes_wrong_and_what_nobody_tried(name: str, page: str) -> None:
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert "What it costs" in headings
    assert {"When it does not work", "When it fails"} & set(headings)
    end = page.rpartition("\n## ")[2]
    assert "Windows" in end
    assert "macOS" in end
    if name != "local":
        assert "In the console" in headings or "what to click" in page


def test_messages_on_a_page_are_the_products(name: str, page: str) -> None:
    sources = [*(ROOT / "qqmedia_drivers").rglob("*.py"), *(ROOT / "qqmedia").glob("*.py")]
    sources += [*(ROOT / "bot_core" / "qq_group").glob("*.py")]
    said = " ".join(" ".join(re.sub(r'"\s*\n\s*f?"', "", file.read_text("utf-8")).split()) for file in sources)
    messages = [*rows(page, "When it does not work"), *rows(page, "When it fails")]
    assert len(messages) >= 5
    for cells in messages:
        for message in re.findall(r"`([^`]+)`", cells[0]):
            for piece in message.split("..."):
                assert piece.strip(" ;") in said, f"nobody says {piece!r}"


@pytest.fixture
def example(cloud: Cloud) -> str:
    page = (PAGES / f"{cloud.name}.md").read_text("utf-8")
    [found] = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "open_host" in block]
    return f"async def example(png_bytes):\n{textwrap.indent(found, '    ')}\n    return url"


@pytest.mark.asyncio
async def test_the_example_works(cloud: Cloud, service: Any, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QQMEDIA_IMAGE_CONVERT", "off")
    given = cloud.settings(service)
    for setting in ("endpoint_url", cloud.key_id, cloud.secret):
        monkeypatch.setenv(f"QQMEDIA_{cloud.name.upper()}_{setting.upper()}", given[setting])
    names: dict[str, Any] = {}
    exec(example, names)
    assert str(await names["example"](PNG)).startswith("http")
    assert len(service.objects) == 1

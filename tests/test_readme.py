"""Every code block of both README files is run here, as a reader would run it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")
BLOCK = re.compile(r"^<!-- block: (\S+) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ANY_BLOCK = re.compile(r"^```\w+$", re.MULTILINE)

pytestmark = [pytest.mark.blocking, pytest.mark.timeout(120)]  # the tests themselves read and write small files


def blocks(readme: str) -> dict[str, str]:
    return {name: text for name, _language, text in BLOCK.findall((ROOT / readme).read_text("utf-8"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder: the blocks' Python files, and the media that they name."""
    import av

    Image.new("RGB", (64, 48), "teal").save(tmp_path / "cat.png")
    with wave.open(str(tmp_path / "song.mp3"), "wb") as song:  # the type is what the bytes say, not the name
        song.setnchannels(1)
        song.setsampwidth(2)
        song.setframerate(24_000)
        song.writeframes(bytes(range(256)) * 375)
    with av.open(str(tmp_path / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            film.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 48), "red"))))
        film.mux(stream.encode(None))
    for name, text in blocks("README.md").items():
        if name.endswith(".py"):
            (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    return os.environ | {"PATH": scripts + os.pathsep + os.environ["PATH"], "PYTHONUNBUFFERED": "1"} | more


@asynccontextmanager
async def running(command: str, folder: Path, env: dict[str, str], until: str) -> AsyncIterator[None]:
    """Run a shell command from when it has printed `until` to the end of the block, then end it as Ctrl-C would."""
    process = await asyncio.create_subprocess_shell(
        f"exec {command}",
        cwd=folder,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    printed = b""
    try:
        async with asyncio.timeout(20):
            while until.encode() not in printed and (line := await process.stdout.readline()):
                printed += line
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        print(f"--- {command}\n{(printed + output).decode()}")


async def run(script: str, folder: Path, env: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_shell(
        f"set -e\n{script}", cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.parametrize("readme", READMES)
def test_every_block_is_known_to_these_tests(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    assert len(BLOCK.findall(text)) == len(ANY_BLOCK.findall(text))


def test_both_readmes_have_the_same_blocks() -> None:
    assert blocks("README.md") == blocks("README.zh-CN.md")


def test_the_make_commands_are_what_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    for line in blocks("README.md")["make"].splitlines():
        command = line.partition("#")[0].strip()
        assert re.search(rf"^{re.escape(command)}\b", ci, re.MULTILINE), f"CI does not run {command!r}"


@pytest.mark.asyncio
async def test_the_bot_runs_against_the_sandbox_as_told(folder: Path, unused_tcp_port: int) -> None:
    """Three terminals: the sandbox, the bot with the two variables, and a word to it."""
    text = blocks("README.md")
    port = str(unused_tcp_port)
    env = environment(QQMEDIA_LOCAL_PORT="0")
    sandbox, start, say = (
        text["sandbox"].strip() + f" --port {port}",
        text["start"].replace("8765", port),
        text["say"].strip() + f" --sandbox http://127.0.0.1:{port}",
    )
    assert "8765" in text["start"]
    exports, bot = start.strip().rsplit("\n", 1)
    variables = dict(re.findall(r"^export (\w+)=(\S+)$", exports, re.MULTILINE))
    async with (
        running(sandbox, folder, env, until="Speak to it"),
        running(bot, folder, env | variables, until="connected"),
    ):
        answer = await run(say, folder, env)
    assert "look" in answer
    assert "image/png" in answer


@pytest.mark.asyncio
async def test_every_kind_of_media_arrives(folder: Path) -> None:
    from bot_core.openapi.values import FileType
    from bot_core.sandbox import Sandbox

    async with Sandbox.open() as sandbox:
        env = environment(QQMEDIA_LOCAL_PORT="0", **sandbox.environment)
        async with running(blocks("README.md")["run"].strip(), folder, env, until="connected"):
            album = await sandbox.replies(await sandbox.say("album"), count=2)
            song = await sandbox.replies(await sandbox.say("song"))
            film = await sandbox.replies(await sandbox.say("film"))
            question = await sandbox.replies(await sandbox.say("hello"))
            greeting = await sandbox.replies(await sandbox.say("Ann"))
    assert [arrived.media.file_type for arrived in album if arrived.media] == [FileType.IMAGE, FileType.IMAGE]
    assert "two of them" in album[0].content
    assert song[0].media is not None
    assert song[0].media.file_type == FileType.VOICE
    assert song[0].media.content_type == "audio/silk"
    assert film[0].media is not None
    assert film[0].media.file_type == FileType.VIDEO
    assert "What is your name?" in question[0].content
    assert "Hello Ann!" in greeting[0].content


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["options.py", "builder.py", "bucket.py"])
async def test_the_ways_to_host_are_accepted(name: str, folder: Path) -> None:
    await run(f"python -W error {name}", folder, environment())


@pytest.mark.asyncio
async def test_the_host_works_without_a_bot(folder: Path) -> None:
    printed = await run("python host.py", folder, environment())
    image, voice = re.findall("^http.*$", printed, re.MULTILINE)
    assert "their address is private" in printed
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/resource/[0-9a-f]{64}\.png", image)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/resource/[0-9a-f]{64}\.silk", voice)


@pytest.mark.asyncio
async def test_the_commands_do_what_they_say(folder: Path) -> None:
    printed = await run(blocks("README.md")["commands"], folder, environment())
    assert "local" in printed
    assert (folder / "song.silk").read_bytes().startswith(b"\x02#!SILK_V3")
    with wave.open(str(folder / "song.wav")) as song:
        assert song.getframerate() == 24_000
    assert (folder / "qqmedia-shelf" / "pyproject.toml").is_file()


def test_the_settings_file_is_right(tmp_path: Path) -> None:
    from qqmedia.plugins import discover
    from qqmedia.settings import load_settings

    (tmp_path / "qqmedia.toml").write_text(blocks("README.md")["qqmedia.toml"], "utf-8")
    spec = discover().driver("cos").spec
    assert spec is not None
    assert callable(spec.settings)
    settings = load_settings(spec.settings(), "cos", {})
    assert settings.model_dump()["bucket"] == "pics-1250000000"


@pytest.mark.parametrize(
    "page", sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    links = re.findall(
        r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```|`[^`]*`", "", path.read_text("utf-8"), flags=re.DOTALL)
    )
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


def test_what_the_install_block_installs_is_this_project() -> None:
    import tomllib

    assert blocks("README.md")["install"].strip().endswith('\npython -m pip install ".[voice]"')
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "voice" in project["optional-dependencies"]

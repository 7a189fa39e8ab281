"""Empty environments with chosen distributions in them, made in a second and without a package index.

Wheels of this repository are built by its own build backend and installed by pip. What they require from elsewhere is
linked from the environment that runs the tests: the closure of the requirements as the metadata state it, and nothing
else, so that a requirement which is not declared is missed.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ("ROOT", "Environment", "build_wheel", "closure", "pip")

ROOT = Path(__file__).parents[2]
_NEVER = re.compile(r"^(?:__pycache__|.*\.pth|__editable__.*|tests?)$")
_NOT_SOURCE = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.egg-info", ".*_cache", "dist", "demo-output")


@functools.cache
def build_wheel(project: Path) -> Path:
    """Build the wheel of a project with pip, from a copy, once for all tests, and return its path."""
    folder = Path(tempfile.mkdtemp(prefix="wheels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = folder / f"source of {project.name}"
    if project == ROOT:  # it holds much that is no source
        copy.mkdir(parents=True)
        for name in ("bot_core", "examples", "qqmedia", "qqmedia_drivers"):
            shutil.copytree(ROOT / name, copy / name, ignore=_NOT_SOURCE)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy / name)
    else:
        shutil.copytree(project, copy, ignore=_NOT_SOURCE)
    wheels = folder / f"wheel of {project.name}"
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(wheels), str(copy))
    (wheel,) = wheels.glob("*.whl")
    return wheel


def pip(*arguments: str, seconds: float = 50) -> None:
    """Run the pip of the tests' environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, timeout=seconds)


def closure(*wanted: str, without: Collection[str] = ()) -> set[str]:
    """Return the names of installed distributions that these requirements (``name[extra]``) draw in, themselves too.

    Those in `without` are left out themselves, and what they require is not.
    """
    found: set[str] = set()
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [Requirement(one) for one in wanted]
    while queue:
        requirement = queue.pop()
        name, extras = _normal(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        queue += _required(name, extras)
    return found - set(without)


def _required(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield requirement


@dataclass(frozen=True)
class Environment:
    """A virtual environment below `folder`."""

    folder: Path

    @classmethod
    def new(cls, folder: Path, wheels: Iterable[Path] = (), linked: Iterable[str] = ()) -> Environment:
        """Make one with these wheels installed and these distributions linked."""
        venv.create(folder, symlinks=os.name != "nt", with_pip=False)
        environment = cls(folder)
        for name in linked:
            environment._link(importlib.metadata.distribution(name))
        files = [str(wheel) for wheel in wheels]
        if files:
            pip("--python", str(environment.python), "install", "--no-deps", "--no-index", "--no-compile", *files)
        return environment

    @classmethod
    def beside(cls, name: str, *wanted: str, seconds: float) -> Environment:
        """Return the one of this name below the environment that runs the tests: made once, for it takes an index.

        It has what is wanted and what that wants, resolved together with our wheel, which is as it is now.
        """
        folder, wheel = Path(sys.prefix) / name, build_wheel(ROOT)
        environment, stamp = cls(folder), folder / "made-of.txt"
        ours = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
        made_of = f"{ours} {' '.join(wanted)} {sys.version}"
        if not stamp.exists() or stamp.read_text("utf-8") != made_of:
            environment = cls.new(folder)
            pip(
                "--python",
                str(environment.python),
                "install",
                *wanted,
                f"qqmedia[s3] @ {wheel.as_uri()}",
                seconds=seconds,
            )
            stamp.write_text(made_of, "utf-8")
        pip("--python", str(environment.python), "install", "--no-deps", "--no-index", "--force-reinstall", str(wheel))
        return environment

    @property
    def python(self) -> Path:
        return self.scripts / ("python.exe" if os.name == "nt" else "python")

    @property
    def scripts(self) -> Path:
        return Path(sysconfig.get_path("scripts", "venv", vars={"base": str(self.folder)}))

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", vars={"base": str(self.folder)}))

    def run(
        self, *arguments: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None, fails: bool = False
    ) -> str:
        """Run this environment's Python, and return what it printed. It sees nothing of the one that runs the tests."""
        return self.run_program(self.python, *arguments, cwd=cwd, variables=variables, fails=fails)

    def command(self, name: str, *arguments: str, cwd: Path | None = None, fails: bool = False) -> str:
        """Run a command that is installed here, and return what it printed."""
        return self.run_program(self.scripts / name, *arguments, cwd=cwd, fails=fails)

    def run_program(
        self,
        program: Path,
        *arguments: str,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        fails: bool = False,
    ) -> str:
        done = subprocess.run(
            [str(program), *arguments], cwd=cwd or self.folder, env=self.variables(variables), check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", timeout=110,
        )  # fmt: skip
        assert fails == (done.returncode != 0), done.stdout
        return done.stdout

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables for its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return kept | {"PYTHONUTF8": "1", "COLUMNS": "200"} | dict(more or {})

    def _link(self, distribution: importlib.metadata.Distribution) -> None:
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
        for top in tops:
            target, source = self.packages / top, Path(str(distribution.locate_file(top)))
            if _NEVER.match(top) or target.exists():
                continue
            if os.name != "nt":
                target.symlink_to(source)
            elif source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy(source, target)
        for command in distribution.entry_points.select(group="console_scripts"):
            program = f"import sys\nfrom {command.module} import {command.attr}\nsys.exit({command.attr}())\n"
            script = self.scripts / command.name
            script.write_text(f"#!{self.python}\n{program}", "utf-8")
            script.chmod(0o755)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

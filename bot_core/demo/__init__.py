"""A demonstration that proves itself: a QQ platform and a bot on this machine, and people who talk to it.

``qqbot demo`` plays a conversation with every medium, shows how each of them travels, compares what arrived with what
was sent, and ends with exit code 0 only if all of it did. The bot is ``examples/demo_bot.py``.
"""

from __future__ import annotations

from bot_core.demo._play import run_demo
from bot_core.demo._scenes import SCENES, Expected, Scene, Step

__all__ = ("SCENES", "Expected", "Scene", "Step", "run_demo")

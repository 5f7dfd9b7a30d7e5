"""Where files of ours lie that nobody gave a name."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache() -> Path:
    """``talweg`` in the user's cache folder; $XDG_CACHE_HOME is honoured everywhere. The folder need not exist.

    A relative $XDG_CACHE_HOME is passed over, as its specification asks: it would name a folder of wherever we are,
    which an archive that was unpacked there may have brought along.

    Raises `RuntimeError` where the user has no home.
    """
    if os.path.isabs(named := os.environ.get("XDG_CACHE_HOME", "")):
        return Path(named) / "talweg"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "talweg" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "talweg"
    return Path.home() / ".cache" / "talweg"

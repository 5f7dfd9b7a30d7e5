"""Files of other programs, by the ending of their names.

`talweg` itself fills the table, since `train` may not know of `export`. It stands alone here, because `import talweg`
loads it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FORMATS: dict[str, Callable[[], Any]] = {}
"""Each is imported when it is called for, and has `save`, `save_weights`, `load` and `load_weights`."""

"""`benchmarks` stands beside `src` and is not installed: it is found from the root of the tree."""

import sys

from support import ROOT

sys.path.insert(0, str(ROOT))

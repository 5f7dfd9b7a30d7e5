"""What a run looked like: its report page (`report`), pictures (`plots`), and the verdict on a curve (`verdict`).

>>> import talweg
>>> talweg.insight.verdict.verdict([3.0, 4.0, 9.0])
'DIVERGING'
"""

from talweg.insight import plots, report, verdict

__all__ = ["plots", "report", "verdict"]

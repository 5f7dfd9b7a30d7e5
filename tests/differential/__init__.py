"""The differential machine: random programs, each engine against the reference, until they disagree.

In the order in which a program passes through: `sizes` (where tiles end), `contractions`, `formulas`, `loops`, `parts`
and `networks` (what is drawn, as JSON), `recipes` (a whole case, and the program that it says), `units` (many programs
in one object, as users' C), `arena` (memory with a wall round it), `judging` (what counts as wrong), `children` (a
process that may die of it), `minimising` (less that fails alike), `keeping` (as a case), `machine` (all of it, again
and again). `scripts/differential.py` is the command.
"""

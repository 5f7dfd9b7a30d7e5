"""A machine that looks for files which readers misread, or which bring them down. Read in this order:

    mutations.py    how a good file becomes a bad one
    forms.py        what a format is to the machine: seeds, mutations, an oracle; the judgement of one input
    arrays.py, pictures.py, models.py, tables.py, folders.py      the formats
    children.py     many inputs in a child process with limits; what it died of, and of which input
    shrinking.py    a finding made small
    machine.py      the whole: rounds over all formats, figures, findings that are kept as cases

`scripts/fuzz.py` runs it; `test_fuzzing.py` runs the kept cases, and finds faults that it plants.
"""

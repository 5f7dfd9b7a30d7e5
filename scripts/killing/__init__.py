"""The killing machine of `scripts/kills.py`: what is disturbed (`work`), how (`faults`), one case (`cases`)."""

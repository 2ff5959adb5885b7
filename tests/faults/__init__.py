"""One fault after another into the real service under load; then what clients were told is held against what was done.

`python -m tests.faults --seed 7 [--only NAME] [--short]` runs them; docs/reliability.md has the table.
"""

"""An agent that attacks the programs that chown as root: `python -m tests.hostile`.

All modules except `targets` and `__main__` need the standard library only: the lab runs them on a machine.
"""

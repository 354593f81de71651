"""An agent that wants more than its tree, against the programs that give owners as root: `python -m tests.hostile`.

The modules but `givers` and `__main__` need the standard library only: the lab runs them on a machine.
"""

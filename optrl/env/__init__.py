"""Reinforcement-learning environments over any instance.

`encoding` and `episodes` need no extra; `single` and `vector` need the extra ``optrl[rl]``.
"""

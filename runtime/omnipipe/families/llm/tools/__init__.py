"""How models write tool calls. `dialect` is the port, `choosing` picks one, the others are one syntax each.

A parser gives the same for the same text, however it is cut into pieces. What turns out to be no call is content; a
marked call that ends before its name is known is left out.
"""

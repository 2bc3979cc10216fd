"""libzmq's sockets, for TCP between machines, with CURVE. The only package that knows libzmq; loaded when an address
asks for it.

`sockets` holds every call and every trap, `line` is one that dials, `listener` the one that is dialled, `curve` who is
let in, `transport` what they share.
"""

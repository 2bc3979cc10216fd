"""Unix sockets between processes of one machine, read and written by the wire's own loop: no thread, no library.

`framing` says where a packet ends, `stream` is one connected socket, `transport` listens and connects.
"""

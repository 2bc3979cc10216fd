"""Refused     one piece of media is not taken; `resolver` makes it a RequestError that names the part"""

__all__ = ["Refused"]


class Refused(Exception):
    """Its text continues a sentence that begins with the part: `... is too large: ...`. It is shown to the client, so
    that it holds no address and no word of what is inside the network."""

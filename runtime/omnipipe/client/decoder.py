"""The body of a stream to events: no I/O, for both clients."""

from omnipipe.client.assembler import Assembler
from omnipipe.client.errors import BadAnswer, ClientError, StreamBroken
from omnipipe.client.lines import Lines
from omnipipe.client.pieces import parse_document, parse_line
from omnipipe.client.results import GenerateResult, StreamEvent

__all__ = ["StreamDecoder", "read_document"]


class StreamDecoder:
    """Feed bytes, take events until there are none, and so on; after the last bytes `end`, and take what is left."""

    def __init__(self, request_id: str | None = None) -> None:
        self._lines = Lines()
        self._assembler = Assembler()
        self._assembler.request_id = request_id
        self._ended = False

    @property
    def request_id(self) -> str | None:
        return self._assembler.request_id

    @property
    def result(self) -> GenerateResult:
        return self._assembler.result()

    @property
    def finished(self) -> bool:
        """Whether the server has said how it ended."""
        return self._assembler.finish_reason is not None

    def feed(self, data: bytes) -> None:
        self._lines.feed(data)

    def end(self) -> None:
        self._lines.end()
        self._ended = True

    def next(self) -> StreamEvent | None:
        """None: more must come first, or there is no more. Raises ClientError, after every event before the fault."""
        try:
            return self._next()
        except BadAnswer as error:
            if self._ended:
                raise StreamBroken(f"the stream ended too early: {error}") from error
            raise

    def _next(self) -> StreamEvent | None:
        while (line := self._lines.next()) is not None:
            event = self._assembler.add(parse_line(line))
            if event is not None:
                return event
        if self._ended:
            self._assembler.end()
        return None


def read_document(body: bytes, request_id: str | None) -> GenerateResult:
    """Of an answer that was not streamed. Raises ClientError."""
    document = parse_document(body)
    assembler = Assembler()
    assembler.request_id = document.request_id or request_id
    assembler.usage, assembler.finish_reason = document.usage, document.finish_reason
    try:
        for piece in document.pieces:
            assembler.add(piece)
        assembler.end()
    except ClientError as error:
        error.partial = assembler.result()
        raise
    return assembler.result()

"""Content around tool calls: white space between the two belongs to the syntax, not to the answer."""

from omnipipe.families.llm.tools.dialect import Content, Delta

__all__ = ["ContentText"]


class ContentText:
    def __init__(self) -> None:
        self._blank = ""
        """White space that is content only if more content follows."""
        self._fresh = False
        """Behind a call."""

    def say(self, text: str, out: list[Delta]) -> None:
        if self._fresh:
            text = text.lstrip()
        if not text:
            return
        self._fresh = False
        text = self._blank + text
        said = text.rstrip()
        self._blank = text[len(said) :]
        if said:
            out.append(Content(said))

    def interrupt(self) -> None:
        """A call begins."""
        self._blank = ""
        self._fresh = True

    def finish(self, out: list[Delta]) -> None:
        if self._blank:
            out.append(Content(self._blank))
            self._blank = ""

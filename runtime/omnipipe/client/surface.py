"""What both clients can be asked to generate, written once: they differ in what they return, and in how they wait."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Literal, TypeVar, overload

from omnipipe.client.form import Modalities, generate_call
from omnipipe.client.media import Media, reads_files
from omnipipe.client.setup import Call

__all__ = ["Surface"]

ResultT = TypeVar("ResultT")
"""`GenerateResult`, or a promise of it."""
StreamT = TypeVar("StreamT")


class Surface(ABC, Generic[ResultT, StreamT]):
    @abstractmethod
    def _whole(self, make: Callable[[], Call], *, reads: bool) -> ResultT:
        """`reads`: `make` waits for a disk."""

    @abstractmethod
    def _streamed(self, make: Callable[[], Call], *, reads: bool) -> StreamT: ...

    @overload
    def generate(
        self,
        *,
        text: str | None = None,
        images: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        output_modalities: Modalities = ("text",),
        input_modalities: Modalities | None = None,
        stream: Literal[False] = False,
        request_id: str | None = None,
        model: str | None = None,
        **model_kwargs: object,
    ) -> ResultT: ...
    @overload
    def generate(
        self,
        *,
        text: str | None = None,
        images: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        output_modalities: Modalities = ("text",),
        input_modalities: Modalities | None = None,
        stream: Literal[True],
        request_id: str | None = None,
        model: str | None = None,
        **model_kwargs: object,
    ) -> StreamT: ...
    def generate(
        self,
        *,
        text: str | None = None,
        images: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        output_modalities: Modalities = ("text",),
        input_modalities: Modalities | None = None,
        stream: bool = False,
        request_id: str | None = None,
        model: str | None = None,
        **model_kwargs: object,
    ) -> ResultT | StreamT:
        """The whole answer, or with `stream` its events as they come.

        Media are a path, bytes, a `(name, bytes)` pair, an open binary file, or a list of those. `model` is needed
        where a server has several. Everything else goes to the model (`voice`, `temperature`, `max_output_tokens`);
        None is as good as leaving it out.
        """
        make = partial(
            generate_call,
            text=text,
            images=images,
            audio=audio,
            video=video,
            output_modalities=output_modalities,
            input_modalities=input_modalities,
            stream=stream,
            request_id=request_id,
            model=model,
            model_kwargs=model_kwargs,
        )
        reads = any(map(reads_files, (images, audio, video)))
        return self._streamed(make, reads=reads) if stream else self._whole(make, reads=reads)

    @overload
    def chat(
        self,
        prompt: str,
        *,
        images: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        output_modalities: Modalities = ("text",),
        stream: Literal[False] = False,
        **model_kwargs: Any,
    ) -> ResultT: ...
    @overload
    def chat(
        self,
        prompt: str,
        *,
        images: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        output_modalities: Modalities = ("text",),
        stream: Literal[True],
        **model_kwargs: Any,
    ) -> StreamT: ...
    def chat(
        self,
        prompt: str,
        *,
        images: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        output_modalities: Modalities = ("text",),
        stream: bool = False,
        **model_kwargs: Any,
    ) -> ResultT | StreamT:
        """`generate` with a prompt; for a spoken answer `output_modalities=("text", "audio")`."""
        ask: Callable[..., ResultT | StreamT] = self.generate
        return ask(
            text=prompt,
            images=images,
            audio=audio,
            video=video,
            output_modalities=output_modalities,
            stream=stream,
            **model_kwargs,
        )

    def stream(
        self,
        *,
        text: str | None = None,
        images: Media | None = None,
        audio: Media | None = None,
        video: Media | None = None,
        output_modalities: Modalities = ("text",),
        input_modalities: Modalities | None = None,
        request_id: str | None = None,
        model: str | None = None,
        **model_kwargs: object,
    ) -> StreamT:
        """`generate` with `stream=True`."""
        return self.generate(
            text=text,
            images=images,
            audio=audio,
            video=video,
            output_modalities=output_modalities,
            input_modalities=input_modalities,
            stream=True,
            request_id=request_id,
            model=model,
            **model_kwargs,
        )

"""The echo family: the reply is the last user message. Reference for family authors, and what the tests run.

    ingest -> words -> compose ~> text        `~>` is a stream, `->` one whole value
           -> pitch ->         ~> synth ~> audio

`graph` is what everybody reads, `stages` runs in the stage processes, `requests` in the gateway, `knobs` holds what a
test may ask of any stage.
"""

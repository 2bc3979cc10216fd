"""Qwen3-Omni: text, images, sound and video in, text and speech out.

    preprocess -> thinker ~> text          `~>` is a stream, `->` one whole value
        -> audio-encoder  -> thinker
        -> vision-encoder -> thinker
    thinker ~> talker ~> code2wav ~> audio

It is `Qwen3OmniMoeForConditionalGeneration.generate` of transformers taken apart: each stage drives that package's own
modules with its own weights alone. `graph` is what everybody reads, `requests` runs in the gateway, `values` says what
travels on the edges, the other modules run in the stage that they are named after.
"""

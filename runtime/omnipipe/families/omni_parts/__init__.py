"""What models have in common that take in text, images, sound and video, and write and speak.

    preprocess -> thinker ~> text          `~>` is a stream, `->` one whole value
        -> audio-encoder  -> thinker
        -> vision-encoder -> thinker
    thinker ~> talker ~> a vocoder ~> audio

It is no family: `qwen3_omni` and `qwen2_5_omni` are made of it, and neither knows the other. A line belongs here when
it is true of every such model. What one of them does in its own way is a method that the module of the same name in
its family overrides; what a talker is told and how it speaks are the families' own altogether.
"""

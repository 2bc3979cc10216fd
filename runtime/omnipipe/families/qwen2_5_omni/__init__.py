"""Qwen2.5-Omni: text, images, sound and video in, text and speech out.

    preprocess -> thinker ~> text          `~>` is a stream, `->` one whole value
        -> audio-encoder  -> thinker
        -> vision-encoder -> thinker
    thinker ~> talker ~> token2wav ~> audio

It is `Qwen2_5OmniForConditionalGeneration.generate` of transformers taken apart, in the stages of `qwen3_omni`, whose
modules it shares where the models are alike. Its own are: what the talker hears (`narration`, `talker`: the thinker's
states of all that was said), a vocoder that is not causal (`token2wav`, `flow`), positions in whole numbers and
videos woven of sound and pictures in pieces of two seconds (`positions`), and voices that are files (`voices`).
"""

"""The autoregressive engine: token after token, for many requests at once.

    Begin ─► program.begin ─► scheduler ──slices──► runner ──logits──► sampler ──tokens──► program.advance ─► Emission
                                  │ blocks                                                     │ finish
                                  └─ block pool (paged KV, prefix reuse)                       └─► program.finish

`program.py` is what a family's author writes against. `sequence`, `rope`, `blocks` and `scheduler` decide and know no
torch; `architecture`, `attention` and `runner` compute; `sampler` and `grammar` choose; `text` is for programs that
write text; `engine` drives them all. With a draft model `speculation` puts guesses behind the slices, as long as `pace`
finds that they pay.
"""

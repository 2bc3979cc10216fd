"""The embed family: texts to vectors, by any encoder (or decoder made for it) that transformers has.

    request ─► embed ~> embedding

`requests` runs in the gateway, `stages` in the stage; `pooling` is how a model's states become one vector.
"""

"""Orpheus: a Llama that says a text in tokens of sound, and SNAC, which makes samples of them."""

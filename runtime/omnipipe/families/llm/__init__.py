"""The llm family: any causal language model of transformers, one stage, text in and out.

    request ─► llm ~> text

In the gateway `requests` turns a client's request into an `asked.Asked`. In the stage `stages` answers it:

    asked ─► rendering ─► prompt tokens ─► engine ─► tokens ─► speech ─► reasoning ─► calls ─► pieces
                 └─ constraints ─► grammar ─┘

`tools/` holds how models write tool calls, one module a syntax. Only `stages`, `model`, `rendering` and `vocabulary`
meet a tokenizer.
"""

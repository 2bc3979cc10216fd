"""POST /generate: one route, two bodies. A form with files is answered in lines or one document, any modality in and
out, as M* has it; a JSON document is a prompt to go on with, as Diffulex has it. Nothing here is OpenAI's."""

"""From a model's source URL to a local folder that is whole. Knows files and hubs, nothing of tensors or models.

folder = resolve("hf://owner/name@revision")        # config.json, tokenizer, *.safetensors, checked
"""

from omnipipe.weights.progress import Report
from omnipipe.weights.resolve import resolve
from omnipipe.weights.settings import WeightsSettings

__all__ = ["Report", "WeightsSettings", "resolve"]

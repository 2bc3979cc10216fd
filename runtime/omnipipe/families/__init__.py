"""Model families: what they are made of (`<name>/graph.py`), what their stages compute (`<name>/stages.py`) and how a
client's request becomes theirs (`<name>/requests.py`). A family knows neither the coordinator nor the gateway.
"""

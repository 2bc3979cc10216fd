"""Asks a pipeline a question again and again until it answers, or the time is over: what `helm test` runs in a pod.
Needs the standard library alone."""

import json
import sys
import time
import urllib.error
import urllib.request

QUESTION = "Is anybody there?"


def ask(url: str, model: str) -> str:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": QUESTION}]}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: str = json.load(response)["choices"][0]["message"]["content"]
        return answer


def why(error: Exception) -> str:
    """With what the server said, if there was one."""
    if not isinstance(error, urllib.error.HTTPError):
        return str(error)
    with error:
        return f"{error}: {error.read(1000).decode(errors='replace').strip()}"


def main() -> int:
    url, model, timeout_s = sys.argv[1], sys.argv[2], float(sys.argv[3])
    end, said = time.monotonic() + timeout_s, ""
    while time.monotonic() < end:
        try:
            print(f"{model}: {ask(url, model)}")
            return 0
        except (OSError, ValueError, LookupError) as error:  # not there yet, or not yet well
            words = why(error)
            if words != said:
                said = words
                print(f"{url}: {said}", flush=True)
        time.sleep(1)
    print(f"no answer within {timeout_s:.0f} s", file=sys.stderr)
    return 1


sys.exit(main())

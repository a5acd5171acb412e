"""The health check: ends with an error unless the service answers on its own machine."""

from __future__ import annotations

import urllib.request

if __name__ == "__main__":
    urllib.request.urlopen("http://127.0.0.1:8080/", timeout=4).close()

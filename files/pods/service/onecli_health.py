"""Whether OneCLI, which has NanoClaw's credentials, serves /v1."""

from __future__ import annotations

import os
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from files.pods.common.dotenv import parse
from files.pods.common.read_untrusted import read_untrusted_text

ANSWER_SECONDS = 10


class NoRedirect(HTTPRedirectHandler):
    """Treat a redirect as the reply."""

    def redirect_request(self, *_args: Any) -> None:
        """Follow no redirect."""
        return


def onecli_health(root: str, configured: str | None) -> dict[str, Any] | None:
    """{"place": scheme, host and port, "status": of GET /v1/health or null, "error"}; None where no URL is set.

    + configured: ONECLI_URL of the service's environment, which counts before the one of .env
    """
    url = configured or parse(read_untrusted_text(os.path.join(root, ".env")) or "").get("ONECLI_URL")
    if not url:
        return None
    try:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return {"place": "ONECLI_URL", "status": None, "error": "it is no URL"}
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return {"place": "ONECLI_URL", "status": None, "error": "it is no URL of http or https"}
    opener = build_opener(ProxyHandler({}), NoRedirect)
    path = parts.path.rstrip("/") + "/v1/health"
    try:
        with opener.open(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}", timeout=ANSWER_SECONDS) as reply:
            return {"place": place, "status": reply.status, "error": ""}
    except HTTPError as error:
        return {"place": place, "status": error.code, "error": ""}
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return {"place": place, "status": None, "error": str(reason)[:200]}

"""Whether OneCLI, which has NanoClaw's credentials, serves /v1."""

from __future__ import annotations

import os
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from files.pods.common.dotenv import parse
from files.pods.common.read_untrusted import read_untrusted_text
from files.pods.service.protocol import Health

ANSWER_SECONDS = 10


class NoRedirect(HTTPRedirectHandler):
    """Treat a redirect as the reply."""

    def redirect_request(self, *_args: Any) -> None:
        """Follow no redirect."""
        return


def onecli_health(root: str, configured: str | None) -> Health | None:
    """Return the reply to GET /v1/health; None if no URL is set.

    + configured: ONECLI_URL of the service's environment, which overrides .env
    """
    url = configured or parse(read_untrusted_text(os.path.join(root, ".env")) or "").get("ONECLI_URL")
    if not url:
        return None
    try:
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return Health("ONECLI_URL", None, "it is no URL")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Health("ONECLI_URL", None, "it is no URL of http or https")
    opener = build_opener(ProxyHandler({}), NoRedirect)
    path = parts.path.rstrip("/") + "/v1/health"
    try:
        with opener.open(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}", timeout=ANSWER_SECONDS) as reply:
            return Health(place, reply.status, "")
    except HTTPError as error:
        return Health(place, error.code, "")
    except (OSError, ValueError) as error:
        return Health(place, None, str(getattr(error, "reason", error))[:200])

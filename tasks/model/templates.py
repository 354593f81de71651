"""The files that the role installs, from their templates in files/ (units/, firewall.nft, nanoclaw.logrotate).

Jinja, as in pyinfra's own templates: a comment of a template, `{# why #}`, is not in the file on the machine. The one
module of the model that reads files; they are part of the role, and each is read once.
"""

from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template
from jinja2.meta import find_undeclared_variables

FILES = Path(__file__).resolve().parents[2] / "files"

_ENVIRONMENT = Environment(
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 -- no HTML: who makes a value quotes it for systemd
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(name: str, **values: object) -> str:
    """Fill in the template files/`name`.

    Raises ValueError for a placeholder without a value, and for a value without a placeholder.
    """
    template, placeholders = _template(name)
    if odd := sorted(placeholders ^ values.keys()):
        raise ValueError(f"files/{name}: placeholders and values differ: {', '.join(odd)}")
    return template.render(values)


@cache
def _template(name: str) -> tuple[Template, frozenset[str]]:
    source = (FILES / name).read_text(encoding="utf-8")
    return _ENVIRONMENT.from_string(source), frozenset(find_undeclared_variables(_ENVIRONMENT.parse(source)))

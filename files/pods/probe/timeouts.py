"""Every timeout of a probe, in seconds."""

from __future__ import annotations

STEP = 40
"""A step of the host or the agent in the scratch session; a single command."""
GUARD = 10
"""How long the guard may take to chown the scratch session."""
CONTAINER = 180
"""All steps of the agent in its container."""
SURVEY = 150
"""The survey of existing sessions; longer, and the server counts as silent."""
SURVEY_END = 100
"""When the survey reports what it has: agents can add sessions as fast as they are read."""
HOT_JOURNAL = 150
"""How long a hot journal may last: NanoClaw opens its sessions once a minute."""
JOURNAL_PAUSE = 2
"""Between two checks of a journal, to see whether somebody writes it."""
LOCK = 3
"""The wait for another probe of this machine."""
WHOLE_PROBE = 1200
"""The whole operation; the probe repeats once after it dropped the kernel's cached permissions."""

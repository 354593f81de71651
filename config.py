"""pyinfra reads this first: the version, a filter of what is printed, and a look at host data.

pyinfra reads it from its working directory. Where that is the fleet's own, a config.py of one line there names it:
`import runpy; runpy.run_path("PATH OF THE ROLE/config.py")`
"""

import sys
from pathlib import Path

from pyinfra import config, state

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tasks.preflight import check_settings_before_connecting
from tasks.terminal import protect_terminal

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"
protect_terminal()
check_settings_before_connecting(state)

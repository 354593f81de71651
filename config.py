"""pyinfra reads this first: the version that the role needs, and a look at host data before any connection.

pyinfra reads it from its working directory. Where that is the fleet's own, a config.py of one line there names it:
`import runpy; runpy.run_path("PATH OF THE ROLE/config.py")`
"""

import sys
from pathlib import Path

from pyinfra import config, state

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tasks.preflight import check_settings_before_connecting

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"
check_settings_before_connecting(state)

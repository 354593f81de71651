"""pyinfra reads this first: the version that the role needs, and a look at host data before any connection."""

from pyinfra import config, state

from tasks.preflight import check_settings_before_connecting

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"
check_settings_before_connecting(state)

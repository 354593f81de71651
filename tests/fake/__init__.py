"""The whole deploy on pyinfra's @fake connector: what would run on machines in known states, and how much of it."""

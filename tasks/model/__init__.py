"""Pure logic: settings, identity, plans and the text of what lands on machines. No pyinfra, no I/O."""

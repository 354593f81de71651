// Containers of a session carry its name, and are taken over by the next start.

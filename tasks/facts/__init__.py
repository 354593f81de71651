"""What is on a machine: one rich fact a concern, one round trip each."""

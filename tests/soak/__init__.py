"""Whole runs of what CI runs only a sample of: for hours, on labs of their own."""

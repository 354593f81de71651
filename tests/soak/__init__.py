"""What CI runs a sample of, whole: for hours, on labs of its own."""

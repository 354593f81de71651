"""What a run of the role costs: counted on machines that only answer, and timed on the lab where it is up."""

"""What pyinfra lacks: operations that compare with the machine and touch only what differs."""

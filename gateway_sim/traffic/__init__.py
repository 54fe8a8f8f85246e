"""What terminals (and attackers) send, as packets in time order, stamped in numpy. Start at `generate`."""

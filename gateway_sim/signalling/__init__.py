"""S-GW, SGSN and terminals without sockets: messages, timers, a table of transitions. Start at `sgw`."""

"""The LTE side live: drives a gateway over UDP, plays the servers behind it, checks it from outside."""

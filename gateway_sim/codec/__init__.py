"""The only door to scapy (GPL-2.0-only): octets that all else is stamped from. Loaded when first needed."""

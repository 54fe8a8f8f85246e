"""The live gateway: P-GW and GGSN over UDP, around an engine. Control plane, data plane, and their loop."""

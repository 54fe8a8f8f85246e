"""GTP-C of both versions, without sockets: octets to `Message` and back, and sessions learnt from them.

GTPv2-C is 3GPP TS 29.274, GTPv1-C TS 29.060. Nothing here knows the engine or a clock.
"""

"""The child program: it runs confined, opens one video and is never imported by the worker.

probe.py and decode.py are its two entry points, and protocol.py says what they exchange with the worker. A file passes
container (packets and their times), gop (which packets are decoded, and by whom; bitstream reads their headers for
that) and convert (RGB as displayed), in this order.
"""

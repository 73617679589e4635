"""Dataflow designs: stages in hardware of their own, joined by bounded FIFOs."""

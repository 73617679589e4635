"""PIM-GPT against a T4 and a Xeon: ``python validation/cases/pim_gpt``."""

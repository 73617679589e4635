"""AttAcc beside eight GPUs: ``python validation/cases/attacc``."""

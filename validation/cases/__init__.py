"""Case studies: a published system beside what it was compared with, on one engine."""

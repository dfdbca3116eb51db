//! Benchmarks of hallucination, their judges and tables.

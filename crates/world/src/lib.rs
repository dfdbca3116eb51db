//! The micro-world: scenes, renderer, questions, simulated annotator and exact judge.

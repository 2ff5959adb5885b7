"""The parts of the worker: what runs in the horse, and what watches over it."""

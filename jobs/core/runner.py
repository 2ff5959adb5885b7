"""The one function that RQ executes."""

"""The shapes of what is answered: the type checker holds the views to them, and /openapi.json tells them to clients.

They are `TypedDict`s, plain dictionaries at run time: nothing is validated or copied on the way out.
"""

"""`GET /openapi.json`: OpenAPI 3.1, read off the views.

A view's signature says what it takes, its return type what it answers, its docstring what it does, and `describe` the
rest. Errors follow from what a view takes. There is no second list of routes.
"""

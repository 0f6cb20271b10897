"""The HTTP service: routes and models, limits, errors, the search page, the server around them."""

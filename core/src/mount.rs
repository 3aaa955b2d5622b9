//! From a request's method and path to what is served there.

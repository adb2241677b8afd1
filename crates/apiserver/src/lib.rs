//! An aggregated API server for subresources.

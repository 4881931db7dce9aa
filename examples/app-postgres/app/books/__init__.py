"""A library of books, over HTTP, kept in PostgreSQL."""

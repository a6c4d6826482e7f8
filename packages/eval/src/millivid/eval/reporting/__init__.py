"""A report: tables, plots, pictures, side-by-side videos, and the page that holds them."""

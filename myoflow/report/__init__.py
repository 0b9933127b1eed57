"""report.html: what a run did and what came out, on one page that needs no network."""

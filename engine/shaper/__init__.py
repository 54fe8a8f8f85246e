"""Speed policy: which rate applies, which endpoints are exempt, when the 3-day restriction bites."""

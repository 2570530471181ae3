"""Reports as one HTML page. The page fetches nothing, and runs only its own script, whatever text it contains."""

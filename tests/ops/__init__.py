"""What is shipped: packages, image, chart."""

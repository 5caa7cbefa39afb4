"""What `import zoo` offers: fit, answer, add, evaluate, save and load."""

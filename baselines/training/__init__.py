"""Fine-tuning of classifiers, and training of the embedded encoder from scratch."""

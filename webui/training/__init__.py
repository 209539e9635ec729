"""Training of the starter model: scenes and captions, autoencoder, diffusion, classifier, export."""

"""The notebooks' trials: MNIST, the model, both protocols, the sweep and the measured ceilings."""

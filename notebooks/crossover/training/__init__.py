"""The notebooks' trials: MNIST, the model, both protocols, the sweep, turns and ceilings."""

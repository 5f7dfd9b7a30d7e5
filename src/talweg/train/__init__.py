"""Training: the model that a user holds, the loop, callbacks, history, saved models and run folders."""

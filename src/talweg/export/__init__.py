"""Other programs' files: Keras's models and weights, PyTorch's weights.

model.save("digits.keras")                         see `talweg.export.keras`
pytorch.save(model, "digits.safetensors")          see `talweg.export.pytorch`
"""

"""What computes a network's forward pass: PyTorch, CUDA graphs, OpenVINO, ONNX Runtime.

``kinds`` names them, ``guard`` compares one with PyTorch in full precision, ``ladder`` measures
them, ``choice`` uses what was measured. Only the engine that is used is imported.
"""

"""What computes a network's forward pass: PyTorch, CUDA graphs, OpenVINO, ONNX Runtime.

``kinds`` names them, ``guard`` compares one with PyTorch in full precision, ``examining`` loads and
measures them, ``ladder`` keeps what was found, ``choice`` uses it. Only the engine that is used is
imported.
"""

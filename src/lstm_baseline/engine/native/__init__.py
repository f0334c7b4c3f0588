"""The compiled core: the same equations for vectors of any width; see ``kernels.h``.

This package holds no maths. The kernels stand beside the equations that they compute, as
``cells/lstm_kernel.h`` beside ``cells/lstm.py``; here is what builds, binds and calls them.
"""

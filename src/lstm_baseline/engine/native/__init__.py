"""The compiled core: the same equations for vectors of any width; see ``kernels.h``.

This package builds, binds and calls the kernels; it holds no maths. Each kernel is beside the
equations that it computes: ``cells/lstm_kernel.h`` is beside ``cells/lstm.py``.
"""

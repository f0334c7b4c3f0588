#include "bind_input_gradient.h"

namespace lb {

void bind_input_gradient(nb::module_& module) {
    nb::class_<Either<LSTMInputGradient>>(module, "LSTMInputGradient")
        .def("d_x",
             method<LSTMInputGradient>(&LSTMInputGradient<float>::d_x,
                                       &LSTMInputGradient<double>::d_x),
             nb::arg("W"));
}

}  // namespace lb

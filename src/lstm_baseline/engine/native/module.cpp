// The compiled core as a Python module.

#define LB_IMPORTS_NUMPY
#include "bind.h"

#include <atomic>
#include <string>

/// A line for each file bind_NAME.cpp.
#define LB_BINDINGS(BIND) \
    BIND(frozen)          \
    BIND(gru)             \
    BIND(input_gradient)  \
    BIND(lstm)            \
    BIND(lstm_variants)   \
    BIND(relational)      \
    BIND(training)

namespace lb {
namespace {

std::atomic<const InstructionSet*> in_use{nullptr};

/// Take an instruction set by name; false if this machine cannot run it.
bool use(const std::string& name) {
    for (const InstructionSet* set = instruction_sets(); set->name; ++set)
        if (name == set->name && set->runs_here()) {
            in_use = set;
            return true;
        }
    return false;
}

nb::list available() {
    nb::list names;
    for (const InstructionSet* set = instruction_sets(); set->name; ++set)
        if (set->runs_here()) names.append(set->name);
    return names;
}

}  // namespace

const InstructionSet& instruction_set() { return *in_use.load(); }

#define LB_DECLARE_BINDING(name) void bind_##name(nb::module_& module);
LB_BINDINGS(LB_DECLARE_BINDING)

}  // namespace lb

static int import_numpy() {
    import_array1(-1);
    return 0;
}

// For threadpoolctl, which finds them in the loaded library.
extern "C" {
__attribute__((visibility("default"))) int lstm_baseline_get_num_threads() {
    return lb::get_num_threads();
}
__attribute__((visibility("default"))) void lstm_baseline_set_num_threads(int number) {
    lb::set_num_threads(number);
}
}

NB_MODULE(_core, module) {
    if (import_numpy() < 0) throw nb::python_error();
    for (const lb::InstructionSet* set = lb::instruction_sets(); set->name; ++set)
        if (set->runs_here()) {
            lb::in_use = set;
            break;
        }
    module.def("instruction_sets", lb::available, "Instruction sets that run here, fastest first.");
    module.def("instruction_set", [] { return lb::instruction_set().name; });
    module.def("use_instruction_set", [](const char* name) { return lb::use(name); });
    module.def("get_num_threads", lb::get_num_threads);
    module.def("set_num_threads", lb::set_num_threads);
    module.def("calls", [](const char* name) {
        for (const lb::InstructionSet* set = lb::instruction_sets(); set->name; ++set)
            if (std::string(name) == set->name) return *set->single->calls;
        return int64_t(0);
    });
#define LB_CALL_BINDING(name) lb::bind_##name(module);
    LB_BINDINGS(LB_CALL_BINDING)
}

// Runs the kernels without Python and holds them to numbers that the reference wrote.
//
//     kernel_test VECTORS [no-fork] [INSTRUCTION_SET]
//
// For every case in the file (kernel_vectors.py writes it and says how), every instruction set that
// this machine runs (or the one named), both precisions and teams of 1, 2, 3 and more threads than
// rows: the results are near the reference's, and the same to the bit whatever the team's size.
// Then several threads call at once, and processes fork between their calls. Ends with 0 and a
// count, or with 1 and a line for everything that is wrong.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "../cells/affine_kernel.h"
#include "../cells/gru_kernel.h"
#include "../cells/input_gradient_kernel.h"
#include "../cells/lstm_kernel.h"
#include "../cells/lstm_variants_kernel.h"
#include "../cells/relational_kernel.h"
#include "../../training/losses_kernel.h"
#include "../../training/optimizers_kernel.h"
#include "kernels.h"
#include "memory.h"

using namespace lb;

namespace {

// What the file holds.

struct Array {
    std::vector<int64_t> shape;
    std::vector<double> numbers;
};

struct Case {
    std::string kind, name;
    std::map<std::string, Array> arrays;

    bool has(const std::string& array) const { return arrays.count(array) > 0; }
    const Array& operator[](const std::string& array) const {
        const auto found = arrays.find(array);
        if (found == arrays.end()) {
            std::fprintf(stderr, "%s: the case has no array %s\n", name.c_str(), array.c_str());
            std::exit(2);
        }
        return found->second;
    }
    int size(const std::string& array, size_t axis) const {
        return int((*this)[array].shape.at(axis));
    }
};

std::vector<Case> read_cases(const char* path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<Case> cases;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string what, name;
        words >> what >> name;
        if (what == "case") {
            cases.push_back({name, line.substr(what.size() + 1), {}});
        } else if (what == "array" && !cases.empty()) {
            Array array;
            int64_t count = 1;
            for (int64_t size; words >> size; count *= size) array.shape.push_back(size);
            array.numbers.resize(size_t(count));
            file.read(reinterpret_cast<char*>(array.numbers.data()), count * 8);
            cases.back().arrays[name] = std::move(array);
        } else {
            cases.clear();
            break;
        }
        if (!file) {
            cases.clear();
            break;
        }
    }
    if (cases.empty()) {
        std::fprintf(stderr, "%s is no file of test vectors\n", path);
        std::exit(2);
    }
    return cases;
}

// Memory of exactly the size that a kernel may touch, so that a sanitizer sees the first step
// beyond, filled with NaN, so that nothing goes unnoticed that is used before it was set.

/// As NumPy may hand it over: aligned to one number only.
template <class T>
class CallerMemory {
public:
    explicit CallerMemory(size_t n)
        : size_(n), data_(static_cast<T*>(std::malloc((n + 1) * sizeof(T)))) {
        std::fill(data_, data_ + n + 1, std::numeric_limits<T>::quiet_NaN());
    }
    CallerMemory(const Array& array) : CallerMemory(array.numbers.size()) {
        for (size_t k = 0; k < size_; ++k) data_[k + 1] = T(array.numbers[k]);
    }
    CallerMemory(CallerMemory&& other) noexcept : size_(other.size_), data_(other.data_) {
        other.data_ = nullptr;
    }
    CallerMemory& operator=(CallerMemory&&) = delete;
    ~CallerMemory() { std::free(data_); }

    T* data() const { return data_ + 1; }
    std::vector<T> numbers() const { return {data(), data() + size_}; }

private:
    size_t size_;
    T* data_;
};

/// As the core allocates it: aligned to a cache line.
template <class T>
class OwnMemory {
public:
    explicit OwnMemory(size_t n) {
        if (posix_memalign(&data_, 64, n * sizeof(T)) != 0) std::abort();
        std::fill(data(), data() + n, std::numeric_limits<T>::quiet_NaN());
    }
    OwnMemory(const OwnMemory&) = delete;
    ~OwnMemory() { std::free(data_); }

    T* data() const { return static_cast<T*>(data_); }

private:
    void* data_ = nullptr;
};

/// An argument that may be missing: then it is null.
template <class T>
class Optional {
public:
    Optional(const Case& c, const std::string& name)
        : memory_(c.has(name) ? c[name] : Array{}), there_(c.has(name)) {}
    T* data() const { return there_ ? memory_.data() : nullptr; }

private:
    CallerMemory<T> memory_;
    bool there_;
};

/// The rows of x (B, T, ·) in the order in which kernels take them, as batch.h defines it.
class Order {
public:
    explicit Order(const Case& c) : B_(c.size("x", 0)), T_(c.size("x", 1)) {
        std::vector<int> length(size_t(B_), T_);
        if (c.has("lengths"))
            for (int row = 0; row < B_; ++row) length[row] = int(c["lengths"].numbers[row]);
        for (int steps = T_; steps >= 0; --steps)
            for (int row = 0; row < B_; ++row)
                if (length[row] == steps) order_.push_back(row);
        int64_t stored = 0;
        for (int t = 0; t <= T_; ++t) {
            begin_.push_back(stored);
            live_.push_back(0);
            for (int row = 0; row < B_; ++row) live_.back() += length[row] > t;
            stored += live_.back();
        }
    }
    Batch batch() const { return {B_, T_, order_.data(), live_.data(), begin_.data()}; }
    int64_t num_stored() const { return begin_.back(); }

private:
    int B_, T_;
    std::vector<int32_t> order_, live_;
    std::vector<int64_t> begin_;
};

// What is wrong.

std::atomic<int> num_wrong{0};
std::atomic<int64_t> num_compared{0};

__attribute__((format(printf, 1, 2))) void wrong(const char* format, ...) {
    va_list args;
    va_start(args, format);
    std::vfprintf(stderr, format, args);
    va_end(args);
    std::fputc('\n', stderr);
    if (++num_wrong > 20) {
        std::fprintf(stderr, "... and maybe more\n");
        std::_Exit(1);
    }
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Each kernel, called as the bindings call it. Results have the names of the reference's arrays.

template <class T>
using Results = std::map<std::string, std::vector<T>>;

/// How a job gets its threads.
struct Threads {
    int size;
    bool alone;  ///< nobody else uses the threads, so all must come if they are to meet

    template <class F>
    void run(F job, bool meet = false) const {
        std::atomic<int> came{0};
        const auto counted = [&](const Team& team) {
            ++came;
            job(team);
        };
        run_team(size, counted, meet);
        if (alone && meet && came != size)
            wrong("%d threads came to a team of %d", came.load(), size);
    }
};

/// Tokens in place of x, where a case has them: `tokens` (B, T) and `table` (V, width).
template <class T>
class Tokens {
    std::vector<int32_t> tokens;
    const Optional<T> table;

public:
    explicit Tokens(const Case& c) : table(c, "table") {
        if (c.has("tokens")) tokens.assign(c["tokens"].numbers.begin(), c["tokens"].numbers.end());
    }
    TokenRows<T> rows(int width) const {
        return {table.data() ? tokens.data() : nullptr, table.data(), width};
    }
};

template <class T>
Results<T> run_lstm(const Case& c, const Kernels<T>& kernels, const Threads& threads) {
    const Order order(c);
    const Batch batch = order.batch();
    const int B = batch.B, I = c.size("x", 2), H = c.size("U", 1), L = kernels.lanes;
    const size_t width = size_t((H + L - 1) / L * L), stored = size_t(order.num_stored());
    const CallerMemory<T> x(c["x"]), W(c["W"]), U(c["U"]), b(c["b"]);
    const Optional<T> h_first(c, "h_first"), c_first(c, "c_first");
    const Tokens<T> tokens(c);
    OwnMemory<T> packed(kernels.lstm->packed_size(I, H));
    kernels.lstm->pack(I, H, W.data(), U.data(), b.data(), packed.data());

    CallerMemory<T> y(c["y"].numbers.size()), h_last(size_t(B * H)), c_last(size_t(B * H));
    OwnMemory<T> h((stored + B) * width), cell((stored + B) * width), gates(stored * 5 * width);
    LSTMForward<T> forward{batch,
                           I,
                           H,
                           x.data(),
                           tokens.rows(4 * H),
                           h_first.data(),
                           c_first.data(),
                           packed.data(),
                           y.data(),
                           h_last.data(),
                           c_last.data(),
                           h.data(),
                           cell.data(),
                           gates.data()};
    const bool meet = threads.size > B;
    threads.run([&](const Team& team) { kernels.lstm->forward(forward, team); }, meet);
    Results<T> results{
        {"y", y.numbers()}, {"h_last", h_last.numbers()}, {"c_last", c_last.numbers()}};

    // Without what backward needs; then also without the outputs.
    for (const bool outputs : {true, false}) {
        OwnMemory<T> passing_h(2 * B * width), passing_c(B * width);
        CallerMemory<T> again(c["y"].numbers.size()), h_again(size_t(B * H)),
            c_again(size_t(B * H));
        forward.y = outputs ? again.data() : nullptr;
        forward.h_last = h_again.data();
        forward.c_last = c_again.data();
        forward.h = passing_h.data();
        forward.c = passing_c.data();
        forward.gates = nullptr;
        threads.run([&](const Team& team) { kernels.lstm->forward(forward, team); }, meet);
        if (!same_bits(results["h_last"], h_again.numbers()) ||
            !same_bits(results["c_last"], c_again.numbers()) ||
            (outputs && !same_bits(results["y"], again.numbers())))
            wrong("%s: other bits without a cache", c.name.c_str());
    }

    const Optional<T> d_y(c, "d_y"), d_h_last(c, "d_h_last"), d_c_last(c, "d_c_last");
    CallerMemory<T> d_W(size_t(4 * H * I)), d_U(size_t(4 * H * H)), d_b(size_t(4 * H)),
        d_h_first(size_t(B * H)), d_c_first(size_t(B * H)), d_x(c["x"].numbers.size());
    OwnMemory<T> d_z(stored * 4 * width);
    LSTMBackward<T> backward{batch,
                             I,
                             H,
                             x.data(),
                             h.data(),
                             cell.data(),
                             gates.data(),
                             U.data(),
                             d_y.data(),
                             d_h_last.data(),
                             d_c_last.data(),
                             d_W.data(),
                             d_U.data(),
                             d_b.data(),
                             d_h_first.data(),
                             d_c_first.data(),
                             d_z.data(),
                             nullptr};
    OwnMemory<T> work(kernels.lstm->backward_work(backward, threads.size));
    backward.work = work.data();
    threads.run([&](const Team& team) { kernels.lstm->backward(backward, team); }, meet);

    OwnMemory<T> columns(kernels.input_gradient->work(I, H, 4));
    const InputGradient<T> input{batch, I, H, 4, W.data(), d_z.data(), d_x.data(), columns.data()};
    threads.run([&](const Team& team) { kernels.input_gradient->run(input, team); });

    results["d_W"] = d_W.numbers();
    results["d_U"] = d_U.numbers();
    results["d_b"] = d_b.numbers();
    results["d_h_first"] = d_h_first.numbers();
    results["d_c_first"] = d_c_first.numbers();
    results["d_x"] = d_x.numbers();
    return results;
}

const char* const VARIANT_PARAMS[] = {"W",      "U",      "b",      "p_f",    "p_i",   "p_o",
                                      "gain_x", "gain_h", "gain_c", "bias_c", "W_proj"};

/// The same member of parameters or of gradients.
template <class Number>
Number*& member(LSTMVariantParams<Number>& params, size_t which) {
    Number** all[] = {&params.W,      &params.U,      &params.b,      &params.p_f,
                      &params.p_i,    &params.p_o,    &params.gain_x, &params.gain_h,
                      &params.gain_c, &params.bias_c, &params.W_proj};
    return *all[which];
}

template <class T>
Results<T> run_lstm_variant(const Case& c, const Kernels<T>& kernels, const Threads& threads) {
    const Order order(c);
    const Batch batch = order.batch();
    const std::vector<double>& n = c["cell"].numbers;
    const int gates = n[0] != 0 ? 3 : 4;
    LSTMVariant<T> cell{c.size("x", 2),
                        c.size("U", 0) / gates,
                        c.size("U", 1),
                        gates,
                        n[1] > 0,
                        n[1],
                        {int(n[2]), n[3], n[4]},
                        {int(n[5]), n[6], n[7]},
                        {int(n[8]), n[9], n[10]},
                        n[11] != 0,
                        {}};
    const int B = batch.B, H = cell.H, P = cell.P, L = kernels.lanes;
    std::vector<CallerMemory<T>> weights, d_weights;
    for (const char* name : VARIANT_PARAMS) {
        weights.emplace_back(c.has(name) ? c[name] : Array{});
        if (c.has(name)) member(cell.params, weights.size() - 1) = weights.back().data();
    }
    std::map<std::string, std::vector<uint8_t>> drawn;
    for (const char* name : {"drawn_h", "drawn_c"})
        if (c.has(name)) drawn[name].assign(c[name].numbers.begin(), c[name].numbers.end());
    const Optional<T> r(c, "r");
    const auto drawn_at = [&](const char* name) {
        return drawn.count(name) ? drawn[name].data() : nullptr;
    };
    const Regularization<T> around{r.data(),
                                   c.has("drawn_h") || n[12] > 0,
                                   c.has("drawn_c") || n[13] > 0,
                                   drawn_at("drawn_h"),
                                   drawn_at("drawn_c"),
                                   T(n[12]),
                                   T(n[13])};

    const CallerMemory<T> x(c["x"]);
    const Optional<T> h_first(c, "h_first"), c_first(c, "c_first");
    const Tokens<T> tokens(c);
    OwnMemory<T> cache(kernels.lstm_variants->cache_size(batch, cell, true));
    Results<T> results;
    for (const char* what : {"with a cache", "without", "without outputs"}) {
        const bool keep = std::strcmp(what, "with a cache") == 0;
        OwnMemory<T> passing(kernels.lstm_variants->cache_size(batch, cell, false)),
            work(kernels.lstm_variants->forward_work(batch, cell));
        CallerMemory<T> y(c["y"].numbers.size()), h_last(size_t(B * P)), c_last(size_t(B * H));
        const LSTMVariantForward<T> forward{
            batch,
            cell,
            around,
            x.data(),
            tokens.rows(gates * H),
            h_first.data(),
            c_first.data(),
            std::strcmp(what, "without outputs") == 0 ? nullptr : y.data(),
            h_last.data(),
            c_last.data(),
            keep,
            keep ? cache.data() : passing.data(),
            work.data()};
        threads.run([&](const Team& team) { kernels.lstm_variants->forward(forward, team); });
        const Results<T> found{
            {"y", y.numbers()}, {"h_last", h_last.numbers()}, {"c_last", c_last.numbers()}};
        if (keep) results = found;
        for (const auto& [name, numbers] : found)
            if ((name != "y" || forward.y) && !same_bits(numbers, results.at(name)))
                wrong("%s: other bits for %s %s", c.name.c_str(), name.c_str(), what);
    }

    const Optional<T> d_y(c, "d_y"), d_h_last(c, "d_h_last"), d_c_last(c, "d_c_last");
    CallerMemory<T> d_h_first(size_t(B * P)), d_c_first(size_t(B * H)), d_x(c["x"].numbers.size());
    LSTMVariantParams<T> gradients{};
    for (const char* name : VARIANT_PARAMS) {
        d_weights.emplace_back(c.has(name) ? c[name].numbers.size() : 0);
        if (c.has(name)) member(gradients, d_weights.size() - 1) = d_weights.back().data();
    }
    OwnMemory<T> d_a(size_t(order.num_stored()) * size_t(gates) * size_t((H + L - 1) / L * L));
    LSTMVariantBackward<T> backward{batch,
                                    cell,
                                    around,
                                    x.data(),
                                    cache.data(),
                                    d_y.data(),
                                    d_h_last.data(),
                                    d_c_last.data(),
                                    gradients,
                                    d_h_first.data(),
                                    d_c_first.data(),
                                    d_a.data(),
                                    nullptr};
    OwnMemory<T> work(kernels.lstm_variants->backward_work(backward, threads.size));
    backward.work = work.data();
    threads.run([&](const Team& team) { kernels.lstm_variants->backward(backward, team); });
    OwnMemory<T> columns(kernels.input_gradient->work(cell.I, H, gates));
    const InputGradient<T> input{batch,         cell.I,     H,          gates,
                                 cell.params.W, d_a.data(), d_x.data(), columns.data()};
    threads.run([&](const Team& team) { kernels.input_gradient->run(input, team); });
    CallerMemory<T> i(size_t(B) * size_t(batch.T) * size_t(H));
    kernels.lstm_variants->gate(batch, cell, cache.data(), gates - 3, i.data());

    for (size_t param = 0; param < d_weights.size(); ++param)
        if (c.has(VARIANT_PARAMS[param]))
            results[std::string("d_") + VARIANT_PARAMS[param]] = d_weights[param].numbers();
    results["d_h_first"] = d_h_first.numbers();
    results["d_c_first"] = d_c_first.numbers();
    results["d_x"] = d_x.numbers();
    results["i"] = i.numbers();
    return results;
}

template <class T>
Results<T> run_gru(const Case& c, const Kernels<T>& kernels, const Threads& threads) {
    const Order order(c);
    const Batch batch = order.batch();
    const int B = batch.B, I = c.size("x", 2), H = c.size("U", 1), L = kernels.lanes;
    const size_t width = size_t((H + L - 1) / L * L), stored = size_t(order.num_stored());
    const CallerMemory<T> x(c["x"]), W(c["W"]), U(c["U"]), b(c["b"]), b_u(c["b_u"]);
    const Optional<T> h_first(c, "h_first");
    const Tokens<T> tokens(c);
    OwnMemory<T> h((stored + B) * width), gates(stored * 4 * width);
    Results<T> results;
    for (const char* what : {"with a cache", "without", "without outputs"}) {
        const bool keep = std::strcmp(what, "with a cache") == 0;
        const bool outputs = std::strcmp(what, "without outputs") != 0;
        OwnMemory<T> passing_h(B * width), passing_gates(B * 4 * width),
            work(kernels.gru->forward_work(batch, I, H));
        CallerMemory<T> y(c["y"].numbers.size()), h_last(size_t(B * H));
        const GRUForward<T> forward{batch,
                                    I,
                                    H,
                                    x.data(),
                                    tokens.rows(3 * H),
                                    h_first.data(),
                                    W.data(),
                                    U.data(),
                                    b.data(),
                                    b_u.data(),
                                    outputs ? y.data() : nullptr,
                                    h_last.data(),
                                    keep,
                                    keep ? h.data() : passing_h.data(),
                                    keep ? gates.data() : passing_gates.data(),
                                    work.data()};
        threads.run([&](const Team& team) { kernels.gru->forward(forward, team); });
        if (keep) results = {{"y", y.numbers()}, {"h_last", h_last.numbers()}};
        if (!same_bits(h_last.numbers(), results["h_last"]) ||
            (outputs && !same_bits(y.numbers(), results["y"])))
            wrong("%s: other bits %s", c.name.c_str(), what);
    }

    const Optional<T> d_y(c, "d_y"), d_h_last(c, "d_h_last");
    CallerMemory<T> d_W(size_t(3 * H * I)), d_U(size_t(3 * H * H)), d_b(size_t(3 * H)),
        d_b_u(c["b_u"].numbers.size()), d_h_first(size_t(B * H)), d_x(c["x"].numbers.size());
    OwnMemory<T> d_u(stored * 3 * width);
    GRUBackward<T> backward{batch,
                            I,
                            H,
                            x.data(),
                            h.data(),
                            gates.data(),
                            U.data(),
                            d_y.data(),
                            d_h_last.data(),
                            d_W.data(),
                            d_U.data(),
                            d_b.data(),
                            d_b_u.data(),
                            d_h_first.data(),
                            d_u.data(),
                            nullptr};
    OwnMemory<T> work(kernels.gru->backward_work(backward, threads.size));
    backward.work = work.data();
    threads.run([&](const Team& team) { kernels.gru->backward(backward, team); });
    OwnMemory<T> columns(kernels.input_gradient->work(I, H, 3));
    const InputGradient<T> input{batch, I, H, 3, W.data(), d_u.data(), d_x.data(), columns.data()};
    threads.run([&](const Team& team) { kernels.input_gradient->run(input, team); });

    results["d_W"] = d_W.numbers();
    results["d_U"] = d_U.numbers();
    results["d_b"] = d_b.numbers();
    results["d_b_u"] = d_b_u.numbers();
    results["d_h_first"] = d_h_first.numbers();
    results["d_x"] = d_x.numbers();
    return results;
}

template <class T>
Results<T> run_relational(const Case& c, const Kernels<T>& kernels, const Threads& threads) {
    const Order order(c);
    const Batch batch = order.batch();
    const std::vector<double>& n = c["sizes"].numbers;
    const RelationalSizes sizes{c.size("x", 2), int(n[0]), int(n[1]), int(n[2]), int(n[3]),
                                int(n[4]),      int(n[5]), int(n[6]), n[7],      n[8]};
    const size_t outputs = c["y"].numbers.size(), memory = c["memory_last"].numbers.size();
    const CallerMemory<T> x(c["x"]), memory_first(c["memory_first"]);
    std::vector<CallerMemory<T>> weights, d_weights;
    std::vector<const T*> params;
    std::vector<T*> d_params;
    const auto number = [](const char* what, int param) { return what + std::to_string(param); };
    for (int param = 0; param < relational_num_params(sizes); ++param) {
        weights.emplace_back(c[number("p", param)]);
        params.push_back(weights.back().data());
    }

    CallerMemory<T> y(outputs), memory_last(memory);
    OwnMemory<T> cache(kernels.relational->cache_size(batch, sizes));
    OwnMemory<T> work(kernels.relational->forward_work(sizes, true, threads.size));
    RelationalForward<T> forward{batch,         sizes,    x.data(),           memory_first.data(),
                                 params.data(), y.data(), memory_last.data(), cache.data(),
                                 work.data()};
    threads.run([&](const Team& team) { kernels.relational->forward(forward, team); });
    Results<T> results{{"y", y.numbers()}, {"memory_last", memory_last.numbers()}};

    // Without what backward needs; then also without the outputs.
    for (const bool with_outputs : {true, false}) {
        OwnMemory<T> less_work(kernels.relational->forward_work(sizes, false, threads.size));
        CallerMemory<T> again(outputs), memory_again(memory);
        forward.y = with_outputs ? again.data() : nullptr;
        forward.memory_last = memory_again.data();
        forward.cache = nullptr;
        forward.work = less_work.data();
        threads.run([&](const Team& team) { kernels.relational->forward(forward, team); });
        if (!same_bits(results["memory_last"], memory_again.numbers()) ||
            (with_outputs && !same_bits(results["y"], again.numbers())))
            wrong("%s: other bits without a cache", c.name.c_str());
    }

    const Optional<T> d_y(c, "d_y"), d_memory_last(c, "d_memory_last");
    // A second time the cache must still give the same.
    for (const bool again : {false, true}) {
        CallerMemory<T> d_memory_first(memory), d_x(c["x"].numbers.size());
        d_weights.clear();
        d_params.clear();
        for (size_t param = 0; param < params.size(); ++param) {
            d_weights.emplace_back(c[number("p", int(param))].numbers.size());
            d_params.push_back(d_weights.back().data());
        }
        OwnMemory<T> d_e(kernels.relational->d_e_size(batch, sizes));
        OwnMemory<T> backward_work(kernels.relational->backward_work(batch, sizes, threads.size));
        const RelationalBackward<T> backward{batch,
                                             sizes,
                                             x.data(),
                                             params.data(),
                                             cache.data(),
                                             d_y.data(),
                                             d_memory_last.data(),
                                             d_params.data(),
                                             d_memory_first.data(),
                                             d_e.data(),
                                             backward_work.data()};
        threads.run([&](const Team& team) { kernels.relational->backward(backward, team); });
        OwnMemory<T> columns(kernels.relational->input_gradient_work(sizes, threads.size));
        const RelationalInputGradientArguments<T> input{batch,      sizes,      params[0],
                                                        d_e.data(), d_x.data(), columns.data()};
        threads.run([&](const Team& team) { kernels.relational->input_gradient(input, team); });
        const size_t gates = c["i"].numbers.size();
        CallerMemory<T> i(gates), f(gates);
        kernels.relational->gates(
            RelationalGates<T>{batch, sizes, cache.data(), i.data(), f.data()});

        Results<T> backward_results{{"d_memory_first", d_memory_first.numbers()},
                                    {"d_x", d_x.numbers()},
                                    {"i", i.numbers()},
                                    {"f", f.numbers()}};
        for (size_t param = 0; param < params.size(); ++param)
            backward_results[number("d_p", int(param))] = d_weights[param].numbers();
        for (const auto& [name, numbers] : backward_results) {
            if (again && !same_bits(numbers, results.at(name)))
                wrong("%s: other bits for %s the second time", c.name.c_str(), name.c_str());
            results[name] = numbers;
        }
    }
    return results;
}

/// Rows of x and y lie further apart than they are long; what lies between must stay as it was.
template <class T>
Results<T> run_affine(const Case& c, const Kernels<T>& kernels, const Threads&) {
    const int rows = c.size("x", 0), K = c.size("W", 1), O = c.size("W", 0);
    const int x_stride = K + 3, y_stride = O + 5;
    const CallerMemory<T> W(c["W"]), b(c["b"]);
    OwnMemory<T> packed(kernels.affine->packed_size(O, K));
    kernels.affine->pack(O, K, W.data(), b.data(), packed.data());
    CallerMemory<T> x(size_t(rows ? rows * x_stride - 3 : 0)),
        y(size_t(rows ? rows * y_stride - 5 : 0));
    for (int row = 0; row < rows; ++row)
        for (int k = 0; k < K; ++k) x.data()[row * x_stride + k] = T(c["x"].numbers[row * K + k]);
    kernels.affine->run(rows, x.data(), x_stride, O, K, packed.data(), y.data(), y_stride);
    Results<T> results;
    for (int row = 0; row < rows; ++row)
        for (int k = 0; k < y_stride && (k < O || row + 1 < rows); ++k) {
            const T number = y.data()[row * y_stride + k];
            if (k < O)
                results["y"].push_back(number);
            else if (!std::isnan(number))
                wrong("%s: written between two rows", c.name.c_str());
        }
    return results;
}

template <class T>
Results<T> run_adam(const Case& c, const Kernels<T>& kernels, const Threads&) {
    const std::vector<double>& r = c["rates"].numbers;
    const AdamRates rates{r[0], r[1], r[2], r[3]};
    const CallerMemory<T> g(c["g"]), m(c["m"]), v(c["v"]), p(c["p"]);
    const int64_t n = c.size("g", 0);
    const double sum = kernels.optimizers->sum_of_squares(n, g.data());
    kernels.optimizers->adam_update(n, rates, r[4], g.data(), m.data(), v.data(), p.data());
    return {{"new_m", m.numbers()},
            {"new_v", v.numbers()},
            {"new_p", p.numbers()},
            {"sum_of_squares", {T(sum)}}};
}

template <class T>
Results<T> run_rmsprop(const Case& c, const Kernels<T>& kernels, const Threads&) {
    const std::vector<double>& r = c["rates"].numbers;
    const RMSPropRates rates{r[0], r[1], r[2]};
    const CallerMemory<T> g(c["g"]), v(c["v"]), p(c["p"]);
    kernels.optimizers->rmsprop_update(c.size("g", 0), rates, g.data(), v.data(), p.data());
    return {{"new_v", v.numbers()}, {"new_p", p.numbers()}};
}

template <class T>
Results<T> run_cross_entropy(const Case& c, const Kernels<T>& kernels, const Threads&) {
    const CallerMemory<T> z(c["x"]);
    const CallerMemory<T> d_z(c["x"].numbers.size());
    const std::vector<int64_t> targets(c["targets"].numbers.begin(), c["targets"].numbers.end());
    const double total = kernels.losses->cross_entropy(c.size("x", 0), c.size("x", 1), z.data(),
                                                       targets.data(), d_z.data());
    return {{"total", {T(total)}}, {"d_x", d_z.numbers()}};
}

template <class T>
Results<T> run_case(const Case& c, const Kernels<T>& kernels, const Threads& threads) {
    if (c.kind == "lstm") return run_lstm(c, kernels, threads);
    if (c.kind == "lstm_variant") return run_lstm_variant(c, kernels, threads);
    if (c.kind == "gru") return run_gru(c, kernels, threads);
    if (c.kind == "relational") return run_relational(c, kernels, threads);
    if (c.kind == "affine") return run_affine(c, kernels, threads);
    if (c.kind == "cross_entropy") return run_cross_entropy(c, kernels, threads);
    if (c.kind == "adam") return run_adam(c, kernels, threads);
    if (c.kind == "rmsprop") return run_rmsprop(c, kernels, threads);
    wrong("%s: nobody knows how to run this", c.name.c_str());
    return {};
}

// What must hold.

/// Of the largest entry of an array.
template <class T>
constexpr double TOLERANCE = sizeof(T) == 4 ? 4e-6 : 1e-13;

/// Of the reference's own noise, which is that of float32.
template <class T>
constexpr double NOISE = sizeof(T) == 4 ? 5 : 5.0 / (1 << 29);

template <class T>
void compare(const char* where, const std::string& name, const std::vector<T>& got,
             const std::vector<double>& want, double noise) {
    if (got.size() != want.size()) {
        wrong("%s: %s has %zu numbers, not %zu", where, name.c_str(), got.size(), want.size());
        return;
    }
    double largest = 0;
    for (double number : want) largest = std::fmax(largest, std::fabs(number));
    size_t at = 0;
    double most = -1;
    for (size_t k = 0; k < want.size(); ++k) {
        const double miss = std::fabs(double(got[k]) - want[k]);
        if (!(miss <= most)) most = miss, at = k;
    }
    num_compared += int64_t(want.size());
    if (!want.empty() && !(most <= TOLERANCE<T> * largest + NOISE<T> * noise))
        wrong("%s: %s[%zu] is %.17g, the reference has %.17g (the largest is %.3g)", where,
              name.c_str(), at, double(got[at]), want[at], largest);
}

template <class T>
void check(const Case& c, const char* instruction_set, const Kernels<T>& kernels) {
    const std::string place =
        std::string(instruction_set) + (sizeof(T) == 4 ? " float32 " : " float64 ") + c.name;
    const int rows = c.size(c.has("x") ? "x" : "g", 0);
    const Results<T> expected = run_case(c, kernels, Threads{1, true});
    for (const auto& [name, numbers] : expected)
        compare(place.c_str(), name, numbers, c[name].numbers, c[name + "~"].numbers[0]);
    for (int size : {2, 3, rows < 15 ? rows + 1 : 16})
        for (const auto& [name, numbers] : run_case(c, kernels, Threads{size, true}))
            if (!same_bits(numbers, expected.at(name)))
                wrong("%s: a team of %d threads gives other bits for %s than one", place.c_str(),
                      size, name.c_str());
}

/// Several threads call at once, with buffers in between, and each gets the bits of a call alone.
template <class T>
void check_together(const std::vector<const Case*>& cases, const Kernels<T>& kernels,
                    int num_forks) {
    constexpr int THREADS = 4, ROUNDS = 12;
    std::vector<Results<T>> expected;
    for (const Case* c : cases) expected.push_back(run_case(*c, kernels, Threads{1, false}));
    const auto repeat = [&](int caller, int rounds) {
        bool right = true;
        for (int round = 0; round < rounds; ++round) {
            const size_t k = size_t(caller + round) % cases.size();
            const Buffer first(size_t(1) << (6 + round % 8)), second(4096);
            std::memset(first.as<char>(), round, 64);
            const auto results = run_case(*cases[k], kernels, Threads{1 + round % 4, false});
            for (const auto& [name, numbers] : results)
                right = right && same_bits(numbers, expected[k].at(name));
        }
        return right;
    };
    std::atomic<bool> all_right{true};
    std::vector<std::thread> callers;
    for (int caller = 0; caller < THREADS; ++caller)
        callers.emplace_back([&, caller] {
            if (!repeat(caller, ROUNDS)) all_right = false;
        });
    std::atomic<bool> ended{false};
    std::thread allocating([&] {
        while (!ended) Buffer(4096);
    });
    // A child has no thread but its own, whatever the others were doing when it was born.
    for (int fork_number = 0; fork_number < num_forks; ++fork_number) {
        if (fork_number + 1 == num_forks)
            for (std::thread& caller : callers) caller.join();
        const pid_t child = fork();
        if (child == 0) {
            alarm(120);
            std::_Exit(repeat(fork_number, 3) ? 0 : 1);
        }
        int status = 0;
        if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
            wrong("a forked child did not end by itself (status %d)", status);
        else if (WEXITSTATUS(status) != 0)
            wrong("a forked child got other bits than its parent");
    }
    for (std::thread& caller : callers)
        if (caller.joinable()) caller.join();
    ended = true;
    allocating.join();
    if (!all_right) wrong("a call among others gives other bits than a call alone");
}

/// A thread that is held up does less, whatever it is held up by, and every step of every row is
/// done once. Here it is held up in its first range, or before it begins any.
void check_held_up(int size, bool before_any) {
    constexpr int ROWS = 64, STEPS = 40;
    for (int job = 0; job < 20; ++job) {
        std::vector<std::atomic<int>> done(ROWS * STEPS);
        std::atomic<int> by_slow{0};
        const auto sleep = [](int milliseconds) {
            std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        };
        run_team(size, [&](const Team& team) {
            const bool is_slow = team.rank == 1;
            if (is_slow && before_any) sleep(30);
            const auto begin = [&](int k) { return ROWS * k / size; };
            team.share(size, begin, [&](Range& rows) {
                while (rows.step < STEPS) {
                    for (int row = rows.first; row < rows.last; ++row)
                        ++done[row * STEPS + rows.step];
                    if (is_slow) by_slow += rows.last - rows.first;
                    ++rows.step;
                    sleep(is_slow && !before_any ? 1 : 0);
                    team.give(rows, 4);
                }
            });
            // The next phase finds all that the one before has done.
            team.share(ROWS, [&](const Range& rows) {
                for (int k = rows.first * STEPS; k < rows.last * STEPS; ++k)
                    if (done[k] != 1) wrong("a step of a row was done %d times", done[k].load());
            });
        });
        const int fair = ROWS * STEPS / size;
        if (by_slow > fair * 3 / 4)
            wrong("a thread that is held up did %d steps of %d", by_slow.load(), fair);
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s VECTORS [no-fork] [INSTRUCTION_SET]\n", argv[0]);
        return 2;
    }
    const std::vector<Case> cases = read_cases(argv[1]);
    int num_forks = 12;
    std::string only;
    for (int k = 2; k < argc; ++k)
        if (std::strcmp(argv[k], "no-fork") == 0)
            num_forks = 0;
        else
            only = argv[k];
    std::vector<const Case*> together;
    for (const Case& c : cases)
        if (c.name.find("together") != std::string::npos) together.push_back(&c);
    std::string ran;
    for (const InstructionSet* set = instruction_sets(); set->name; ++set) {
        if (!set->runs_here() || (!only.empty() && only != set->name)) continue;
        ran += std::string(" ") + set->name;
        for (const Case& c : cases) {
            check(c, set->name, *set->single);
            check(c, set->name, *set->twice);
        }
        check_together(together, *set->single, num_forks);
        check_together(together, *set->twice, num_forks);
    }
    for (int size : {2, 3})
        for (const bool before_any : {true, false}) check_held_up(size, before_any);
    if (ran.empty()) wrong("this machine runs no such instruction set");
    if (num_wrong) return 1;
    std::printf("ok: %zu cases on%s, %lld numbers compared\n", cases.size(), ran.c_str(),
                static_cast<long long>(num_compared.load()));
    return 0;
}

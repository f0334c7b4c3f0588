// What a training step does to every parameter, in one pass over memory: see optimizers.py.

/// Σ g² in double precision, added up in eight interleaved parts.
template <class T>
double sum_of_squares(int64_t n, const T* g) {
    constexpr int PARTS = 8;
    double parts[PARTS] = {};
    int64_t k = 0;
    for (; k + PARTS <= n; k += PARTS)
        for (int j = 0; j < PARTS; ++j) parts[j] += double(g[k + j]) * double(g[k + j]);
    for (; k < n; ++k) parts[k % PARTS] += double(g[k]) * double(g[k]);
    double total = 0;
    for (double part : parts) total += part;
    return total;
}

/// The operations of Adam.update, in its order, so with its bits.
template <class T>
void adam_update(int64_t n, const AdamRates& rates, const T* g, T* m, T* v, T* p) {
    const T beta_1 = T(rates.beta_1), rest_1 = T(1 - rates.beta_1);
    const T beta_2 = T(rates.beta_2), rest_2 = T(1 - rates.beta_2);
    const T rate = T(rates.rate), epsilon = T(rates.epsilon);
    for (int64_t k = 0; k < n; ++k) {
        m[k] = m[k] * beta_1 + rest_1 * g[k];
        v[k] = v[k] * beta_2 + rest_2 * (g[k] * g[k]);
        const T deviation = sizeof(T) == 4 ? T(__builtin_sqrtf(float(v[k]))) : T(__builtin_sqrt(v[k]));
        p[k] -= rate * m[k] / (deviation + epsilon);
    }
}

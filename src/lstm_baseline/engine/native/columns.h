// Arrays of L batch rows side by side, each in its own lane, and products of such arrays.
//
// Arrays are [feature][column][lane]; a column is a memory slot or a time step. Lanes are
// independent, so no row depends on the rows beside it, no size has to be a multiple of a vector's,
// and sums over features (means, softmax, attention) are never sums across a vector.
#pragma once

#include "vec.h"

namespace lb::LB_TARGET {
namespace {

/// An array [feature][column][lane].
template <class T>
struct Columns {
    T* data;
    int number;  ///< of columns

    T* at(int feature, int column) const {
        return data + (ptrdiff_t(feature) * number + column) * LANES<T>;
    }
    Vec<T> operator()(int feature, int column) const { return load(at(feature, column)); }
    void set(int feature, int column, Vec<T> v) const { store(at(feature, column), v); }
    void add(int feature, int column, Vec<T> v) const {
        set(feature, column, (*this)(feature, column) + v);
    }
    /// The features from this one on.
    Columns from(int feature) const { return {at(feature, 0), number}; }
};

/// One factor of a product, with its strides. It holds numbers, each for all lanes, or vectors with
/// a number for each lane.
template <class T, bool VECTORS>
struct Factor {
    const T* data;
    ptrdiff_t along;         ///< to the next row (of a left factor) or column (of a right one)
    ptrdiff_t next;          ///< to the next term of the sum
    ptrdiff_t next_run = 0;  ///< to the next run of terms
};
template <class T>
using Numbers = Factor<T, false>;
template <class T>
using Vectors = Factor<T, true>;

/// A matrix by its rows: the terms are the columns.
template <class T>
inline Numbers<T> by_row(const T* matrix, int num_columns) {
    return {matrix, num_columns, 1};
}

/// A matrix by its columns: the terms are the rows.
template <class T>
inline Numbers<T> by_column(const T* matrix, int num_columns) {
    return {matrix, 1, num_columns};
}

/// By features: the terms are the columns.
template <class T>
inline Vectors<T> by_feature(Columns<T> x) {
    return {x.data, x.number * LANES<T>, LANES<T>};
}

/// By columns: the terms are the features.
template <class T>
inline Vectors<T> by_column(Columns<T> x) {
    return {x.data, LANES<T>, x.number * LANES<T>};
}

/// Terms that a product sums: their number in every run, and the number of runs.
struct Terms {
    int number, runs = 1;
};

/// Most columns of a tile of products: five slots, four of memory and one of input, fill one tile.
constexpr int TILE_COLUMNS = 5;

/// Width of the next tile if this many columns are left: tiles have about the same width.
inline int tile_width(int columns) {
    const int tiles = (columns + TILE_COLUMNS - 1) / TILE_COLUMNS;
    return (columns + tiles - 1) / tiles;
}

/// Most rows of a tile: accumulators, the right factor and one of the left fit the registers.
constexpr int tallest_tile(int width) {
    const int most = (REGISTERS - 1 - width) / width;
    return most < 8 ? most : 8;
}

/// z[r][c] = Σ over runs and terms of left[r] · right[c], added up in this order in every tile.
/// With `add` the sum is added to z. Rows of z are `stride` apart.
template <int R, int C, class T, bool VECTORS>
__attribute__((noinline)) void multiply_tile(T* z, ptrdiff_t stride, bool add,
                                             const Factor<T, VECTORS>& left,
                                             const Vectors<T>& right, Terms terms) {
    constexpr int L = LANES<T>;
    Vec<T> sums[R][C];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) sums[r][c] = add ? load(z + r * stride + c * L) : Vec<T>{};
    const ptrdiff_t row = left.along, column = right.along;
    for (int run = 0; run < terms.runs; ++run) {
        const T* a = left.data + run * left.next_run;
        const T* b = right.data + run * right.next_run;
        for (int k = 0; k < terms.number; ++k, a += left.next, b += right.next) {
            Vec<T> factors[C];
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) factors[c] = load(b + c * column);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                Vec<T> factor = VECTORS ? load(a + r * row) : splat(a[r * row]);
                KEEP_IN_REGISTER(factor);
#pragma GCC unroll 16
                for (int c = 0; c < C; ++c) sums[r][c] = fma(factor, factors[c], sums[r][c]);
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) store(z + r * stride + c * L, sums[r][c]);
}

/// Compute a tile of C columns and at most `rows` rows; return how many rows it has.
template <int C, class T, bool VECTORS>
inline int multiply_tile(T* z, ptrdiff_t stride, bool add, const Factor<T, VECTORS>& left, int rows,
                         const Vectors<T>& right, Terms terms) {
    constexpr int MOST = tallest_tile(C);
    if (rows >= MOST) return multiply_tile<MOST, C>(z, stride, add, left, right, terms), MOST;
    if constexpr (MOST > 4)
        if (rows >= 4) return multiply_tile<4, C>(z, stride, add, left, right, terms), 4;
    if constexpr (MOST > 2)
        if (rows >= 2) return multiply_tile<2, C>(z, stride, add, left, right, terms), 2;
    return multiply_tile<1, C>(z, stride, add, left, right, terms), 1;
}

/// f(row, column, width, tile) for all tiles of a product. tile(z, stride, add) computes the tile
/// and returns its number of rows, and f must return that number too.
template <class T, bool VECTORS, class F>
inline void for_product_tiles(Factor<T, VECTORS> left, int rows, Vectors<T> right, int columns,
                              Terms terms, F f) {
    const T* first = left.data;
    for (int column = 0, width; column < columns; column += width) {
        width = tile_width(columns - column);
        left.data = first;
        for (int row = 0; row < rows;) {
            const int height = f(row, column, width, [&](T* z, ptrdiff_t stride, bool add) {
                const int rest = rows - row;
                switch (width) {
                    case 1: return multiply_tile<1>(z, stride, add, left, rest, right, terms);
                    case 2: return multiply_tile<2>(z, stride, add, left, rest, right, terms);
                    case 3: return multiply_tile<3>(z, stride, add, left, rest, right, terms);
                    case 4: return multiply_tile<4>(z, stride, add, left, rest, right, terms);
                    default: return multiply_tile<5>(z, stride, add, left, rest, right, terms);
                }
            });
            row += height;
            left.data += height * left.along;
        }
        right.data += width * right.along;
    }
}

/// f(row, column, Σ over terms of left[row] · right[column]).
template <class T, bool VECTORS, class F>
inline void multiply(const Factor<T, VECTORS>& left, int rows, const Vectors<T>& right, int columns,
                     int terms, F f) {
    Vec<T> z[REGISTERS];
    T* numbers = reinterpret_cast<T*>(z);
    for_product_tiles(left, rows, right, columns, Terms{terms},
                      [&](int row, int column, int width, auto tile) {
                          const int height = tile(numbers, width * LANES<T>, false);
                          for (int r = 0; r < height; ++r)
                              for (int c = 0; c < width; ++c)
                                  f(row + r, column + c, z[r * width + c]);
                          return height;
                      });
}

/// to[row] += Σ over runs and terms of left[row] · right, in rows of num_vectors vectors.
template <class T>
inline void add_products(const Numbers<T>& left, int rows, const Vectors<T>& right, int num_vectors,
                         Terms terms, T* to, ptrdiff_t stride) {
    for_product_tiles(left, rows, right, num_vectors, terms,
                      [&](int row, int vector, int, auto tile) {
                          return tile(to + row * stride + vector * LANES<T>, stride, true);
                      });
}

/// Numbers k … k + width − 1 of L rows as vectors with a lane for each row. Null is a row of zeros.
template <class T>
__attribute__((noinline)) void load_transposed(const T* const* rows, int k, int width,
                                               Vec<T>* square) {
    for (int lane = 0; lane < LANES<T>; ++lane)
        square[lane] = rows[lane] ? load(rows[lane] + k, width) : Vec<T>{};
    transpose<T>(square);
}

/// Store what load_transposed loads. Null leaves a row out.
template <class T>
__attribute__((noinline)) void store_transposed(Vec<T>* square, int k, int width, T* const* rows) {
    transpose<T>(square);
    for (int lane = 0; lane < LANES<T>; ++lane)
        if (rows[lane]) store(rows[lane] + k, square[lane], width);
}

/// Places of a row's numbers, one after the other: a column's features, then the next column's.
template <class T>
class Places {
public:
    Places(Columns<T> columns, int F, int column = 0) : columns_(columns), F_(F), column_(column) {}

    T* next() {
        T* place = columns_.at(feature_, column_);
        if (++feature_ == F_) {
            feature_ = 0;
            ++column_;
        }
        return place;
    }

private:
    Columns<T> columns_;
    int F_, column_, feature_ = 0;
};

/// Give each of L rows of K numbers a lane.
template <class T>
inline void rows_to_lanes(const T* const* rows, int K, Places<T> to) {
    constexpr int L = LANES<T>;
    Vec<T> square[L];
    for (int k = 0; k < K; k += L) {
        const int width = K - k < L ? K - k : L;
        load_transposed(rows, k, width, square);
        for (int i = 0; i < width; ++i) store(to.next(), square[i]);
    }
}

/// The inverse of rows_to_lanes.
template <class T>
inline void lanes_to_rows(Places<T> from, int K, T* const* rows) {
    constexpr int L = LANES<T>;
    Vec<T> square[L];
    for (int k = 0; k < K; k += L) {
        const int width = K - k < L ? K - k : L;
        for (int i = 0; i < L; ++i) square[i] = i < width ? load(from.next()) : Vec<T>{};
        store_transposed(square, k, width, rows);
    }
}

/// Lay F features of a column out as L rows of whole vectors, zeros past the last feature.
template <class T>
__attribute__((noinline)) void column_to_rows(Columns<T> x, int F, int column, T* rows,
                                              ptrdiff_t stride) {
    constexpr int L = LANES<T>;
    Vec<T> square[L];
    for (int f = 0; f < F; f += L) {
        for (int i = 0; i < L; ++i) square[i] = f + i < F ? x(f + i, column) : Vec<T>{};
        transpose<T>(square);
        for (int lane = 0; lane < L; ++lane) store(rows + lane * stride + f, square[lane]);
    }
}

/// Add the first num_columns columns of every feature of d to its sum, [F][lane].
template <class T>
inline void add_columns(Columns<T> d, int F, int num_columns, T* sums) {
    constexpr int L = LANES<T>;
    for (int f = 0; f < F; ++f) {
        Vec<T> sum = load(sums + f * L);
        for (int c = 0; c < num_columns; ++c) sum += d(f, c);
        store(sums + f * L, sum);
    }
}

/// f(Int<C>, column) for all columns, C at a time.
template <class F>
inline void for_column_tiles(int columns, F f) {
    for (int column = 0, width; column < columns; column += width) {
        width = tile_width(columns - column);
        switch (width) {
            case 1: f(Int<1>{}, column); break;
            case 2: f(Int<2>{}, column); break;
            case 3: f(Int<3>{}, column); break;
            case 4: f(Int<4>{}, column); break;
            case 5: f(Int<5>{}, column); break;
        }
    }
}

}  // namespace
}  // namespace lb::LB_TARGET

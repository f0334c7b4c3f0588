// Parts of one memory, handed out one after the other.
#pragma once

#include "vec.h"

namespace lb::LB_TARGET {
namespace {

/// Hands out parts of a memory, or only counts them if there is no memory yet.
template <class T>
struct Slices {
    T* memory;
    size_t size = 0;

    T* take(size_t numbers) {
        T* place = memory ? memory + size : nullptr;
        size += (numbers + LANES<T> - 1) / LANES<T> * LANES<T>;
        return place;
    }
};

}  // namespace
}  // namespace lb::LB_TARGET

// Memory for the kernels: aligned to vectors, and used again.
#pragma once

#include <cstddef>
#include <utility>

namespace lb {

/// Memory without initial values, aligned to a cache line. Freed memory is kept for the next buffer
/// of about the same size: every training step asks for the same megabytes, and getting them from
/// the system again would cost as much as the kernels do at small sizes.
class Buffer {
public:
    Buffer() = default;
    explicit Buffer(size_t bytes);
    ~Buffer();
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }

    template <class T>
    T* as() const {
        return static_cast<T*>(data_);
    }

private:
    void swap(Buffer& other) {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }
    void* data_ = nullptr;
    size_t size_ = 0;
};

}  // namespace lb

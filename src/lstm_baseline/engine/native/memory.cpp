#include "memory.h"

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace lb {
namespace {

constexpr size_t LINE = 64, HUGE_PAGE = size_t(2) << 20;
constexpr size_t MOST_KEPT = size_t(512) << 20;  // bytes
constexpr size_t MOST_BUFFERS = 32;

void* allocate(size_t size) {
#if defined(_WIN32)
    void* data = _aligned_malloc(size, LINE);
#else
    // Not std::aligned_alloc, which older versions of macOS do not have.
    void* data = nullptr;
    if (posix_memalign(&data, size >= HUGE_PAGE ? HUGE_PAGE : LINE, size) != 0) data = nullptr;
#endif
    if (!data) throw std::bad_alloc();
#if defined(__linux__)
    // Large pages: a five-hundredth of the page faults, and no misses in the table of pages.
    if (size >= HUGE_PAGE) madvise(data, size, MADV_HUGEPAGE);
#endif
    return data;
}

void release(void* data) {
#if defined(_WIN32)
    _aligned_free(data);
#else
    std::free(data);
#endif
}

/// Freed buffers, the oldest first. Never destroyed: buffers may be freed while the process ends.
struct Kept {
    struct Entry {
        void* data;
        size_t size;
    };
    std::mutex mutex;
    std::vector<Entry> entries;
    size_t bytes = 0;

    static Kept& instance() {
        static Kept* kept = [] {
#if defined(__unix__) || defined(__APPLE__)
            // A child that is forked while another thread holds the lock could never take it.
            pthread_atfork([] { instance().mutex.lock(); }, [] { instance().mutex.unlock(); },
                           [] { instance().mutex.unlock(); });
#endif
            return new Kept;
        }();
        return *kept;
    }

    void* take(size_t size) {
        std::lock_guard<std::mutex> lock(mutex);
        for (size_t k = entries.size(); k-- > 0;)
            if (entries[k].size == size) {
                void* data = entries[k].data;
                entries.erase(entries.begin() + ptrdiff_t(k));
                bytes -= size;
                return data;
            }
        return nullptr;
    }

    void give(void* data, size_t size) {
        std::lock_guard<std::mutex> lock(mutex);
        entries.push_back({data, size});
        bytes += size;
        while (bytes > MOST_KEPT || entries.size() > MOST_BUFFERS) {
            release(entries.front().data);
            bytes -= entries.front().size;
            entries.erase(entries.begin());
        }
    }
};

/// Sizes are an eighth of a power of two apart, so a slightly different batch finds memory too.
size_t rounded(size_t bytes) {
    size_t grain = LINE;
    while (grain * 16 < bytes) grain *= 2;
    if (bytes >= HUGE_PAGE && grain < HUGE_PAGE) grain = HUGE_PAGE;
    return (bytes + grain - 1) / grain * grain;
}

}  // namespace

Buffer::Buffer(size_t bytes) : size_(rounded(bytes ? bytes : 1)) {
    data_ = Kept::instance().take(size_);
    if (!data_) data_ = allocate(size_);
}

Buffer::~Buffer() {
    if (data_) Kept::instance().give(data_, size_);
}

}  // namespace lb

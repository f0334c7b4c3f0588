// A team of threads that do one job together.
#pragma once

#include <atomic>

// Functions that the files of every target call are always inlined. Otherwise the linker would keep
// one copy for all, perhaps one with instructions that this machine does not have.
#define LB_INLINE __attribute__((always_inline)) inline

namespace lb {

/// Where threads of a team wait for each other. They spin, because the work between two waits takes
/// microseconds.
class Barrier {
public:
    explicit Barrier(int size) : size_(size), waiting_(0), round_(0) {}
    void wait();

private:
    const int size_;
    std::atomic<int> waiting_;
    std::atomic<unsigned> round_;
};

/// One thread's place in its team.
struct Team {
    int rank, size;
    Barrier* barrier;

    LB_INLINE void wait() const {
        if (size > 1) barrier->wait();
    }
    /// This thread's part of 0 … total − 1, from `first()` up to `last()`.
    LB_INLINE int first(int total) const { return int(int64_t(total) * rank / size); }
    LB_INLINE int last(int total) const { return int(int64_t(total) * (rank + 1) / size); }
};

int get_num_threads();
void set_num_threads(int num_threads);

/// How many threads are worth their wake-up for this many multiply-adds.
int useful_threads(double multiply_adds);

/// Run job(context, team) on `size` threads, this one among them, and return when all have ended.
/// If another call has the threads, this one does the job alone; the numbers are the same.
void run_team(int size, void (*job)(void*, const Team&), void* context);

template <class F>
void run_team(int size, F f) {
    run_team(
        size, [](void* context, const Team& team) { (*static_cast<F*>(context))(team); }, &f);
}

}  // namespace lb

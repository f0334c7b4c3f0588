// A team of threads that do one job together.
#pragma once

#include <atomic>
#include <cstdint>

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

/// Rows, columns or the like, from `first` to `last` − 1, of which `step` steps are done.
struct Range {
    int first, last, step;
};

/// One phase of a job: ranges that a team works on, in a line of the cache to itself.
class alignas(64) Phase {
public:
    /// The number of the next range that nobody has begun.
    LB_INLINE int begin() { return begun_.fetch_add(1, std::memory_order_relaxed); }
    LB_INLINE void finish() { left_.fetch_sub(1, std::memory_order_release); }
    LB_INLINE bool is_wanted() const { return wanted_.load(std::memory_order_relaxed) > 0; }
    /// Wait for a range that another thread gives; false when all of `count` ranges are done.
    bool take(int count, Range& range);
    /// Give the second half of a range, from a multiple of `grain` on, to a thread that waits.
    void give(Range& range, int grain);
    /// Be as new.
    void reset();

private:
    static constexpr int MOST_GIVEN = 8;
    std::atomic<int> begun_{0}, wanted_{0}, num_given_{0};
    std::atomic<int> left_{0};  ///< ranges given less ranges done; −count at the end
    std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
    Range given_[MOST_GIVEN];
};

/// For `Team::share`: each range is one.
LB_INLINE int by_one(int k) { return k; }

/// Most phases of a job.
constexpr int MOST_PHASES = 16;

/// One thread's place in its team.
///
/// A job has phases, which all threads go through in the same order. A thread whose core another
/// process has taken, and even one that never comes, holds the others up for no longer than the
/// range that it has begun: they do what it has not begun, and take half of what it is at as soon
/// as it has ended a step. Ranges must not depend on each other, and which thread works on one must
/// not matter to the numbers.
struct Team {
    int rank, size;
    Phase* phases;         ///< (MOST_PHASES), or null if the team is one thread
    Barrier* barrier;      ///< null unless all threads are sure to come
    mutable int used = 0;  ///< phases that this thread has been to

    /// f(range) for `count` ranges, begin(k) … begin(k + 1) − 1; returns when all are done, by
    /// whomever. f may call `give` between two steps.
    template <class Begin, class F>
    LB_INLINE void share(int count, Begin begin, F f) const {
        if (size == 1) {
            Range all{begin(0), begin(count), 0};
            f(all);
            return;
        }
        if (used == MOST_PHASES) __builtin_trap();
        Phase& phase = phases[used++];
        for (int k; (k = phase.begin()) < count; phase.finish()) {
            Range range{begin(k), begin(k + 1), 0};
            if (range.first < range.last) f(range);
        }
        for (Range range; phase.take(count, range); phase.finish()) f(range);
    }
    /// f(range) for equal ranges of 0 … total − 1, several for each thread.
    template <class F>
    LB_INLINE void share(int total, F f) const {
        const int count = total < 4 * size ? total : 4 * size;
        const auto begin = [=](int k) { return int(int64_t(total) * k / count); };
        if (count) share(count, begin, f);
    }
    LB_INLINE void give(Range& range, int grain) const {
        if (size > 1 && phases[used - 1].is_wanted()) phases[used - 1].give(range, grain);
    }
    /// Wait for all others.
    LB_INLINE void wait() const {
        if (barrier) barrier->wait();
    }
    /// This thread's part of 0 … total − 1, where all threads are sure to come.
    LB_INLINE int first(int total) const { return int(int64_t(total) * rank / size); }
    LB_INLINE int last(int total) const { return int(int64_t(total) * (rank + 1) / size); }
};

int get_num_threads();
void set_num_threads(int num_threads);

/// How many threads are worth their wake-up for this many multiply-adds.
int useful_threads(double multiply_adds);

/// Run job(context, team) on `size` threads, this one among them, and return when all that have
/// come have ended. Only if they are to meet, with `Team::wait`, all are sure to come. If another
/// call has the threads, this one does the job alone; the numbers are the same.
void run_team(int size, bool meet, void (*job)(void*, const Team&), void* context);

template <class F>
void run_team(int size, F f, bool meet = false) {
    run_team(
        size, meet, [](void* context, const Team& team) { (*static_cast<F*>(context))(team); }, &f);
}

}  // namespace lb

#include <cstdint>

#include "team.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace lb {
namespace {

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Pauses of 10 to 40 ns. A thread that waits for others yields soon: they may need its core.
constexpr int SPINS = 500;
// A thread without a job spins for as long as Python takes from one call of a training step to the
// next, because waking it costs 50 µs and more.
constexpr int SPINS_BETWEEN_JOBS = 12000;
constexpr double MULTIPLY_ADDS_A_THREAD = 1e6;  // about 10 µs

/// Threads that sleep until there is a job for them.
class Pool {
public:
    /// False if another call has the threads, or the system gives none.
    bool try_run(int size, void (*job)(void*, const Team&), void* context) {
        std::unique_lock<std::mutex> mine(in_use_, std::try_to_lock);
        if (!mine.owns_lock()) return false;
        while (int(threads_.size()) < size - 1) {
            const int rank = int(threads_.size()) + 1;
            try {
                threads_.emplace_back([this, rank, seen = round_.load()] { serve(rank, seen); });
            } catch (const std::system_error&) {
                return false;  // the system has no thread to give
            }
        }
        keep_off_this_core();
        Barrier barrier(size);
        job_ = job;
        context_ = context;
        size_ = size;
        barrier_ = &barrier;
        running_.store(int(threads_.size()), std::memory_order_relaxed);
        {
            std::lock_guard<std::mutex> lock(sleep_);
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        job(context, Team{0, size, &barrier});
        for (int spins = 0; running_.load(std::memory_order_acquire) > 0; ++spins)
            spins < SPINS ? pause() : std::this_thread::yield();
        return true;
    }

    ~Pool() {
        {
            std::lock_guard<std::mutex> lock(sleep_);
            stop_ = true;
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        for (std::thread& thread : threads_) thread.join();
    }

private:
    /// Keep the other threads off this thread's core, which they would only share. Operating
    /// systems that pack threads together, as in virtual machines, leave them there for
    /// milliseconds.
    void keep_off_this_core() {
#if defined(__linux__)
        const int core = sched_getcpu();
        cpu_set_t cores;
        if (core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof cores, &cores) != 0)
            return;
        CPU_CLR(core, &cores);
        const bool same = threads_.size() == kept_off_ && CPU_EQUAL(&cores, &others_);
        if (same || CPU_COUNT(&cores) == 0) return;
        for (std::thread& thread : threads_)
            pthread_setaffinity_np(thread.native_handle(), sizeof cores, &cores);
        others_ = cores;
        kept_off_ = threads_.size();
#endif
    }

    void serve(int rank, unsigned seen) {
        for (bool worked = true;;) {
            // Only threads that the last job needed may be needed again soon.
            const int most = worked ? SPINS_BETWEEN_JOBS : 0;
            for (int spins = 0; round_.load(std::memory_order_acquire) == seen && spins < most;
                 ++spins)
                pause();
            if (round_.load(std::memory_order_acquire) == seen) {
                std::unique_lock<std::mutex> lock(sleep_);
                wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
            }
            ++seen;
            if (stop_) return;
            worked = rank < size_;
            if (worked) job_(context_, Team{rank, size_, barrier_});
            running_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::mutex in_use_, sleep_;
    std::condition_variable wake_;
    std::vector<std::thread> threads_;
#if defined(__linux__)
    cpu_set_t others_ = {};  // the cores that threads were given
    size_t kept_off_ = 0;    // number of threads that were given them
#endif
    std::atomic<unsigned> round_{0};
    std::atomic<int> running_{0};
    bool stop_ = false;
    // The job under way.
    void (*job_)(void*, const Team&) = nullptr;
    void* context_ = nullptr;
    int size_ = 0;
    Barrier* barrier_ = nullptr;
};

std::unique_ptr<Pool>& pool() {
    static std::unique_ptr<Pool> instance = [] {
#if defined(__unix__) || defined(__APPLE__)
        // A forked child has none of the threads, so it leaves its parent's pool alone.
        pthread_atfork(nullptr, nullptr, [] {
            (void)pool().release();
            pool() = std::make_unique<Pool>();
        });
#endif
        return std::make_unique<Pool>();
    }();
    return instance;
}

std::atomic<int>& num_threads() {
    static std::atomic<int> number{1};  // whoever loads the core counts the cores
    return number;
}

}  // namespace

void Barrier::wait() {
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
        waiting_.store(0, std::memory_order_relaxed);
        round_.store(round + 1, std::memory_order_release);
        return;
    }
    // Yield after a while: a thread that lost its core may need this one.
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins)
        spins < SPINS ? pause() : std::this_thread::yield();
}

int get_num_threads() { return num_threads().load(); }

void set_num_threads(int number) { num_threads().store(number < 1 ? 1 : number); }

int useful_threads(double multiply_adds) {
    const double worth = multiply_adds / MULTIPLY_ADDS_A_THREAD;
    const int most = get_num_threads();
    return worth < 2 ? 1 : worth < most ? int(worth) : most;
}

void run_team(int size, void (*job)(void*, const Team&), void* context) {
    if (size > 1 && pool()->try_run(size, job, context)) return;
    job(context, Team{0, 1, nullptr});
}

}  // namespace lb

#include <cstdint>

#include "team.h"

#include <chrono>
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

// Pauses of 10 to 60 ns: what a thread waits for takes microseconds. If it takes longer, the thread
// that does it may be waiting for a core, which is free for it as soon as this one sleeps.
constexpr int SPINS_WHILE_WAITING = 6000;
// A thread without a job spins for as long as Python takes from one call of a training step to the
// next, because waking it costs 50 µs and more.
constexpr int SPINS_BETWEEN_JOBS = 12000;
constexpr double MULTIPLY_ADDS_A_THREAD = 1e6;  // about 10 µs

constexpr unsigned PLACE = 1 << 16;

/// Waits for something that other threads do, longer at each call.
class Patience {
public:
    void wait() {
        if (++spins_ < SPINS_WHILE_WAITING)
            pause();
        else
            std::this_thread::sleep_for(std::chrono::microseconds(20));
    }

private:
    int spins_ = 0;
};

/// Threads that sleep until there is a job for them.
class Pool {
public:
    /// False if another call has the threads, or the system gives none.
    bool try_run(int size, bool meet, void (*job)(void*, const Team&), void* context) {
        std::unique_lock<std::mutex> mine(in_use_, std::try_to_lock);
        if (!mine.owns_lock()) return false;
        while (int(threads_.size()) < size - 1) {
            try {
                const int number = int(threads_.size());
                threads_.emplace_back(
                    [this, number, seen = round_.load()] { serve(number, seen); });
            } catch (const std::system_error&) {
                return false;  // the system has no thread to give
            }
        }
        keep_off_this_core();
        Barrier barrier(size);
        job_ = job;
        context_ = context;
        size_ = size;
        barrier_ = meet ? &barrier : nullptr;
        for (int k = 0; k < phases_used_; ++k) phases_[k].reset();
        asked_.store(size - 1, std::memory_order_relaxed);
        members_.store(unsigned(size - 1) * PLACE, std::memory_order_release);
        {
            std::lock_guard<std::mutex> lock(sleep_);
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        const Team team{0, size, phases_, barrier_};
        job(context, team);
        phases_used_ = team.used;
        // Who has not come by now is not needed.
        members_.fetch_and(PLACE - 1, std::memory_order_relaxed);
        for (Patience patience; members_.load(std::memory_order_acquire) > 0;) patience.wait();
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

    void serve(int number, unsigned seen) {
        for (;;) {
            // Only as many threads as the last job asked for may be needed again soon.
            const int most =
                number < asked_.load(std::memory_order_relaxed) ? SPINS_BETWEEN_JOBS : 0;
            for (int spins = 0; round_.load(std::memory_order_acquire) == seen && spins < most;
                 ++spins)
                pause();
            if (round_.load(std::memory_order_acquire) == seen) {
                std::unique_lock<std::mutex> lock(sleep_);
                wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
            }
            seen = round_.load(std::memory_order_acquire);
            if (stop_) return;
            const int places = join();
            if (places == 0) continue;
            job_(context_, Team{size_ - places, size_, phases_, barrier_});
            members_.fetch_sub(1, std::memory_order_release);
        }
    }

    /// Take one of the places of the job under way, and return how many there were.
    int join() {
        unsigned members = members_.load(std::memory_order_relaxed);
        while (members >= PLACE)
            if (members_.compare_exchange_weak(members, members - PLACE + 1,
                                               std::memory_order_acquire))
                return int(members / PLACE);
        return 0;
    }

    std::mutex in_use_, sleep_;
    std::condition_variable wake_;
    std::vector<std::thread> threads_;
#if defined(__linux__)
    cpu_set_t others_ = {};  // the cores that threads were given
    size_t kept_off_ = 0;    // number of threads that were given them
#endif
    std::atomic<unsigned> round_{0};
    /// Threads that are at the job, and PLACE for each place that is free.
    std::atomic<unsigned> members_{0};
    std::atomic<int> asked_{0};  ///< threads that the last job asked for
    bool stop_ = false;
    // The job under way.
    void (*job_)(void*, const Team&) = nullptr;
    void* context_ = nullptr;
    int size_ = 0;
    Barrier* barrier_ = nullptr;
    Phase phases_[MOST_PHASES];
    int phases_used_ = 0;
};

/// Holds a lock that is held for some nanoseconds.
class Locked {
public:
    explicit Locked(std::atomic_flag& lock) : lock_(lock) {
        for (Patience patience; lock_.test_and_set(std::memory_order_acquire);) patience.wait();
    }
    ~Locked() { lock_.clear(std::memory_order_release); }

private:
    std::atomic_flag& lock_;
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
    for (Patience patience; round_.load(std::memory_order_acquire) == round;) patience.wait();
}

bool Phase::take(int count, Range& range) {
    wanted_.fetch_add(1, std::memory_order_relaxed);
    for (Patience patience; left_.load(std::memory_order_acquire) > -count; patience.wait()) {
        if (num_given_.load(std::memory_order_relaxed) > 0) {
            const Locked locked(lock_);
            const int last = num_given_.load(std::memory_order_relaxed) - 1;
            if (last >= 0) {
                range = given_[last];
                num_given_.store(last, std::memory_order_relaxed);
                return true;
            }
        }
    }
    return false;
}

void Phase::give(Range& range, int grain) {
    const int half = (range.first + range.last) / 2, middle = (half + grain - 1) / grain * grain;
    if (middle >= range.last) return;
    const Locked locked(lock_);
    const int number = num_given_.load(std::memory_order_relaxed);
    if (!is_wanted() || number == MOST_GIVEN) return;
    given_[number] = {middle, range.last, range.step};
    range.last = middle;
    wanted_.fetch_sub(1, std::memory_order_relaxed);
    left_.fetch_add(1, std::memory_order_relaxed);
    num_given_.store(number + 1, std::memory_order_relaxed);
}

void Phase::reset() {
    for (std::atomic<int>* number : {&begun_, &wanted_, &num_given_, &left_})
        number->store(0, std::memory_order_relaxed);
}

int get_num_threads() { return num_threads().load(); }

void set_num_threads(int number) { num_threads().store(number < 1 ? 1 : number); }

int useful_threads(double multiply_adds) {
    const double worth = multiply_adds / MULTIPLY_ADDS_A_THREAD;
    const int most = get_num_threads();
    return worth < 2 ? 1 : worth < most ? int(worth) : most;
}

void run_team(int size, bool meet, void (*job)(void*, const Team&), void* context) {
    if (size > 1 && pool()->try_run(size, meet, job, context)) return;
    job(context, Team{0, 1, nullptr, nullptr});
}

}  // namespace lb
